import pytest


@pytest.mark.repeat(3)
def test_right():
    pass


@pytest.mark.repeat(2)
def test_wrong():
    assert False
