"""A KeyboardInterrupt that the test itself raises: the session ends with 2, fixtures are finalised."""

import pytest


@pytest.fixture(scope="module")
def wide():
    yield
    print("finalised")


def test_before(wide):
    pass


def test_interrupt(wide):
    raise KeyboardInterrupt


def test_after(wide):
    raise AssertionError("must not run")
