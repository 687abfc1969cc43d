"""Warnings: recorded, filtered by ini, mark and code, turned into errors."""

import warnings

import pytest


def test_recorded():
    warnings.warn("counted", UserWarning)


def test_recorded_twice():
    for _ in range(2):
        warnings.warn("one place, two times", UserWarning)


@pytest.mark.parametrize("number", [1, 2])
def test_same_place(number):
    warnings.warn("the same for each", DeprecationWarning)


def test_ignored_by_ini():
    warnings.warn("ignored by the ini file", UserWarning)


def test_error_by_ini():
    warnings.warn("an error by the ini file", FutureWarning)


@pytest.mark.filterwarnings("error:strict here")
def test_error_by_mark():
    warnings.warn("strict here", UserWarning)


@pytest.mark.filterwarnings("ignore:quiet here")
def test_ignored_by_mark():
    warnings.warn("quiet here", UserWarning)


def test_filters_are_restored():
    warnings.simplefilter("error")


def test_after_filters():
    warnings.warn("not an error again", UserWarning)


def test_warns():
    with pytest.warns(UserWarning, match="expected"):
        warnings.warn("as expected", UserWarning)


def test_warns_missing():
    with pytest.warns(UserWarning):
        pass


@pytest.fixture
def warns_in_setup():
    warnings.warn("from set-up", UserWarning)
    yield
    warnings.warn("from teardown", UserWarning)


def test_phases(warns_in_setup):
    pass


class Resource:
    def __del__(self):
        raise RuntimeError("cannot be raised here")


def test_unraisable():
    Resource()
