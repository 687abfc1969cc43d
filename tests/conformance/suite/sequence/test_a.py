"""Failures for -x, --maxfail, --lf, --ff and --sw to stop at and to remember."""

import pytest


def test_passes():
    pass


def test_fails():
    assert 0, "the first"


@pytest.mark.parametrize("number", range(5))
def test_number(number):
    assert number != 3, "the second"
