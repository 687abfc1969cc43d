import os

import pytest

pid = os.getpid()


@pytest.mark.forked
def test_right():
    assert os.getpid() != pid


@pytest.mark.forked
def test_wrong():
    assert os.getpid() == 0


def test_plain():
    pass
