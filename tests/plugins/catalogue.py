"""plugins.toml: what is tried, at which versions, and what is left out and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pythons import PYTESTS
from toml import read_toml

_FILE = Path(__file__).resolve().parent / "plugins.toml"


@dataclass(frozen=True)
class Plugin:
    """One entry; its own package comes first in `requirements`."""

    name: str
    requirements: tuple[str, ...]
    args: tuple[str, ...]
    pytest: str  # the newest one that it works with

    @property
    def version(self) -> str:
        """Return the version of the plugin's own package."""
        return self.requirements[0].partition("==")[2]


def load_plugins() -> dict[str, Plugin]:
    """Read the plugins that are tried, in the file's order."""
    entries = read_toml(_FILE)["plugin"]
    return {
        name: Plugin(name, tuple(e["requirements"]), tuple(e.get("args", ())), e.get("pytest", PYTESTS[-1]))
        for name, e in entries.items()
    }


def left_out() -> dict[str, str]:
    """Read which plugins are not tried, and why."""
    return {str(name): str(why) for name, why in read_toml(_FILE)["left-out"].items()}
