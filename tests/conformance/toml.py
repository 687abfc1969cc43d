"""Reads TOML on every supported interpreter: 3.10 has no reader of its own, but its pip brings one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from process import HarnessError


def read_toml(path: Path) -> dict[str, Any]:
    """Return the document of a TOML file."""
    text = path.read_text(encoding="utf-8")
    if sys.version_info >= (3, 11):
        import tomllib

        return tomllib.loads(text)
    return _read_without_tomllib(text)


def _read_without_tomllib(text: str) -> dict[str, Any]:
    try:
        from pip._vendor import tomli
    except ImportError as error:
        raise HarnessError("Python 3.10 needs pip beside it to read TOML") from error
    document: dict[str, Any] = tomli.loads(text)
    return document
