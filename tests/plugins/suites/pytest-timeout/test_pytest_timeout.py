import time

import pytest


@pytest.mark.timeout(30)
def test_right():
    pass


@pytest.mark.timeout(0.3)
def test_wrong():
    time.sleep(20)


def test_plain():
    pass
