import pytest


@pytest.mark.dependency()
def test_first():
    pass


@pytest.mark.dependency()
def test_wrong():
    assert False


@pytest.mark.dependency(depends=["test_first"])
def test_needs_right():
    pass


@pytest.mark.dependency(depends=["test_wrong"])
def test_needs_wrong():
    pass
