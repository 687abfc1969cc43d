"""One test of a thousand kills its process."""

import os
import signal

import pytest


@pytest.mark.parametrize("number", range(1000))
def test_number(number):
    if number == 500:
        os.kill(os.getpid(), signal.SIGSEGV)
