"""Uses the plugin."""

import pytest


def test_given(given):
    assert given in ("nothing", "something")


@pytest.mark.only_with_given
def test_only(given):
    assert given == "something"
