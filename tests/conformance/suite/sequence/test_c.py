"""An error and one more failure."""

import pytest


@pytest.fixture
def broken():
    yield
    raise RuntimeError("the third")


def test_error(broken):
    pass


class TestClass:
    def test_fails(self):
        raise ValueError("the fourth")

    def test_passes(self):
        pass
