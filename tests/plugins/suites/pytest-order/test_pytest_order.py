import pytest

seen = []


@pytest.mark.order(2)
def test_second():
    pass


@pytest.mark.order(1)
def test_first():
    pass


@pytest.mark.order(after="test_second")
def test_wrong():
    assert False
