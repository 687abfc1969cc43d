"""Fixtures overridden by module, class and parameter, each reaching the one below."""

import pytest


@pytest.fixture
def overridden(overridden):
    return f"{overridden}/module"


def test_module(overridden):
    assert overridden == "root/module"


class TestClass:
    @pytest.fixture
    def overridden(self, overridden):
        return f"{overridden}/class"

    def test_class(self, overridden):
        assert overridden == "root/module/class"

    @pytest.mark.parametrize("overridden", ["direct"])
    def test_parameter(self, overridden):
        assert overridden == "direct"


@pytest.mark.parametrize("colour", ["blue"])
def test_plain_parameter(colour):
    assert colour == "blue"
