"""Tests to be chosen by name, mark and id."""

import pytest


@pytest.mark.slow
def test_alpha():
    pass


@pytest.mark.fast
def test_beta():
    pass


@pytest.mark.parametrize("name", ["x y", "a-b", "c::d", "e/f"])
def test_gamma(name):
    pass


class TestDelta:
    def test_alpha(self):
        pass

    @pytest.mark.slow
    def test_epsilon(self):
        assert 0
