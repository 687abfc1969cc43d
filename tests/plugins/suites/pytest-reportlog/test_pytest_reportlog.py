import pytest


def test_right():
    print("said by the right one")


def test_wrong():
    print("said by the wrong one")
    assert 1 == 2


@pytest.mark.skip(reason="not now")
def test_skipped():
    pass


@pytest.fixture
def broken():
    raise LookupError("no fixture")


def test_error(broken):
    pass
