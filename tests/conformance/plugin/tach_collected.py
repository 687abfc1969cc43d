"""Writes down every item that pytest collects, before any is deselected: id, fixtures, marks. For analysis.py."""

from __future__ import annotations

import json
import os

import pytest

# What pytest and plugins make of setup_module, setUpClass and the like.
_GENERATED = ("_xunit_", "_unittest_", "xunit_", "unittest_", "_hypothesis")
_items: list[dict[str, object]] = []


def pytest_itemcollected(item: pytest.Item) -> None:
    """Called for each item, as soon as it is there."""
    information = getattr(item, "_fixtureinfo", None)
    fixtures = []
    for name, definitions in (information.name2fixturedefs if information else {}).items():
        function = getattr(definitions[-1].func, "__name__", "")
        if function != "get_direct_param_fixture_func" and not name.startswith(_GENERATED):
            fixtures.append(name)
    marks = [mark.name for mark in item.iter_markers()]
    _items.append({"id": item.nodeid, "fixtures": sorted(fixtures), "marks": marks})


def pytest_sessionfinish() -> None:
    """Called after the collection."""
    with open(os.environ["TACH_COLLECTED"], "w", encoding="utf-8") as file:
        json.dump(_items, file)
