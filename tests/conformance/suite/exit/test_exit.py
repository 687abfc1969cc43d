"""pytest.exit from a test: what came before counts, nothing after it runs."""

import pytest


def test_before():
    pass


def test_fails_before():
    assert 0


def test_exit():
    pytest.exit("enough", returncode=7)


def test_after():
    raise AssertionError("must not run")
