"""Overriding three levels deep."""


def test_overridden(overridden):
    assert overridden == "root/nested/inner"


def test_overridden_fails(overridden):
    assert overridden == "root"
