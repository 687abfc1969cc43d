"""Reads a JUnit XML file into comparable cases: everything but times, host and time stamp."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

from model import JunitCase, numbered
from normalise import normalise

_IGNORED = {"time", "timestamp", "hostname"}


def read_junit(path: Path) -> list[JunitCase]:
    """Return the suite's own attributes and properties as a first case, then each test case in order.

    A missing or malformed file is a case of its own, so that it shows as a difference.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        return [JunitCase("<no file>")]
    except ElementTree.ParseError as error:
        return [JunitCase(f"<malformed: {error}>")]
    cases = []
    for suite in root.iter("testsuite"):
        cases.append(JunitCase("<suite>", _parts(suite, children=("properties",))))
        found = [element for element in suite if element.tag == "testcase"]
        names = numbered([f"{element.get('classname', '')}::{element.get('name', '')}" for element in found])
        cases.extend(JunitCase(name, _parts(element)) for name, element in zip(names, found))
    return cases


def _property(name: str, value: str) -> tuple[str, str]:
    """Return a property; hypothesis adds its timings as one, encoded, so that no rule can take them out."""
    return name, "VARIES" if name.startswith("hypothesis-statistics-") else normalise(value)


def _parts(element: ElementTree.Element, children: tuple[str, ...] | None = None) -> dict[str, str]:
    parts = {f"@{name}": normalise(value) for name, value in element.attrib.items() if name not in _IGNORED}
    seen: Counter[str] = Counter()
    for child in element:
        if children is not None and child.tag not in children:
            continue
        if child.tag == "properties":
            parts["properties"] = str([_property(p.get("name", ""), p.get("value", "")) for p in child])
        else:
            attributes = {name: normalise(value) for name, value in sorted(child.attrib.items())}
            seen[child.tag] += 1
            parts[f"{child.tag}.{seen[child.tag]}"] = f"{attributes} {normalise(child.text or '')}"
    return parts
