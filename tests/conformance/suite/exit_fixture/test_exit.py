"""pytest.exit from the set-up of a module fixture, without a code of its own."""

import pytest


@pytest.fixture(scope="module")
def leaves():
    pytest.exit("in set-up")


def test_before():
    pass


def test_exit(leaves):
    raise AssertionError("must not run")


def test_after():
    raise AssertionError("must not run")
