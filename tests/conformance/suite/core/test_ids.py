# -*- coding: utf-8 -*-
"""Ids as pytest makes them; people paste them into CI."""

import enum
import math

import pytest


class Planet(enum.Enum):
    EARTH = 1
    MARS = 2


class Level(enum.IntEnum):
    LOW = 1


class Plain:
    pass


def helper():
    pass


@pytest.mark.parametrize("value", [0.1, 1.0, 1e300, -0.0, math.inf, math.nan, 1e-7])
def test_floats(value):
    pass


@pytest.mark.parametrize("value", [Planet.EARTH, Planet.MARS, Level.LOW])
def test_enums(value):
    pass


@pytest.mark.parametrize("value", ["a", "a", "b", "a"])
def test_duplicates(value):
    pass


@pytest.mark.parametrize("value", ["a", "a0", "a"])
def test_duplicates_that_clash(value):
    pass


@pytest.mark.parametrize(
    "value",
    ["tab\t", "new\nline", "nul\0", "ümlaut", "日本", "sla/sh", "a::b", "[x]", " ", "", "\x1b[31m", "\\"],
)
def test_escapes(value):
    pass


@pytest.mark.parametrize("value", [b"bytes", b"\xff\x00", b""])
def test_bytes(value):
    pass


@pytest.mark.parametrize(
    "value", [None, True, 1, 10**30, 1j, (1, 2), [1], {"a": 1}, Plain(), Plain, helper, ...]
)
def test_other_types(value):
    pass


@pytest.mark.parametrize("value", [1, 2, 3], ids=["one", None, "three"])
def test_given_ids(value):
    assert value != 2


@pytest.mark.parametrize("value", [1, 2.5, "x"], ids=lambda value: f"<{value}>" if value != "x" else None)
def test_id_function(value):
    pass


@pytest.mark.parametrize("value", [pytest.param(1, id="same"), pytest.param(2, id="same")])
def test_same_param_id(value):
    pass


@pytest.mark.parametrize("first,second", [(0.5, Planet.EARTH), ("x y", b"z")])
@pytest.mark.parametrize("third", [1, 2])
def test_joined(first, second, third):
    pass
