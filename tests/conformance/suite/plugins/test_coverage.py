import lib
import pytest


@pytest.fixture(scope="module")
def wide():
    return lib.double(1)


@pytest.mark.parametrize("number", range(5))
def test_plain(number, wide):
    assert lib.double(number) >= number
