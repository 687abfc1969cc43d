"""Marks for a whole module."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(True, reason="module mark")]


def test_one():
    raise AssertionError("must not run")


class TestTwo:
    def test_two(self):
        raise AssertionError("must not run")
