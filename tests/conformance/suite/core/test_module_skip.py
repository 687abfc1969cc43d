"""A module that skips itself at import."""

import pytest

pytest.skip("the whole module", allow_module_level=True)


def test_never():
    raise AssertionError("must not run")
