"""plugins.toml: what is tried, at which versions, and what is left out and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pythons import PYTESTS
from toml import read_toml

_FILE = Path(__file__).resolve().parent / "plugins.toml"


@dataclass(frozen=True)
class Plugin:
    """One entry; its own package comes first in `requirements`."""

    name: str
    requirements: tuple[str, ...]
    args: tuple[str, ...]
    always: tuple[str, ...]  # given to the suite that does not know of it, too
    pytest: str  # the newest one that it works with

    @property
    def version(self) -> str:
        """Return the version of the plugin's own package."""
        return self.requirements[0].partition("==")[2]


def load_plugins() -> dict[str, Plugin]:
    """Read the plugins that are tried, in the file's order."""
    entries = read_toml(_FILE)["plugin"]
    return {name: _plugin(name, entry) for name, entry in entries.items()}


def _plugin(name: str, entry: dict[str, Any]) -> Plugin:
    args, always = tuple(entry.get("args", ())), tuple(entry.get("always", ()))
    return Plugin(name, tuple(entry["requirements"]), args, always, entry.get("pytest", PYTESTS[-1]))


def left_out() -> dict[str, str]:
    """Read which plugins are not tried, and why."""
    return {str(name): str(why) for name, why in read_toml(_FILE)["left-out"].items()}
