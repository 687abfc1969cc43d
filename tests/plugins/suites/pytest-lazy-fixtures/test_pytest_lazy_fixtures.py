import pytest
from pytest_lazy_fixtures import lf


@pytest.fixture
def one():
    return 1


@pytest.fixture(scope="module")
def two():
    return 2


@pytest.mark.parametrize("value", [lf("one"), lf("two"), 3])
def test_right(value):
    assert value in (1, 2, 3)


@pytest.mark.parametrize("value", [lf("one"), lf("two")])
def test_wrong(value):
    assert value == 1
