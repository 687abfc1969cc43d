"""The session that the self test records and then falsifies: one test of each outcome."""

import warnings

import pytest


@pytest.fixture
def broken_teardown():
    yield
    raise RuntimeError("teardown says no")


def test_passes(record_property):
    record_property("colour", "blue")
    print("seen on stdout")
    warnings.warn("a warning to count")


def test_fails():
    left, right = [1, 2, 3], [1, 2, 4]
    assert left == right


@pytest.mark.skip(reason="not on Tuesdays")
def test_skipped():
    pass


@pytest.mark.xfail(reason="known to be wrong")
def test_xfails():
    assert False


def test_error_in_teardown(broken_teardown):
    pass


@pytest.mark.parametrize("number", [1, 2])
def test_numbers(number):
    pass
