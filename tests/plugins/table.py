"""The document that a trial of all plugins makes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from catalogue import Plugin
from model import Difference
from trial import Trial

_HEAD = """# Plugins

What tach does under other people's plugins, found by trying each: `./dev conformance each-plugin --write docs/plugins.md`.
Each plugin is in an environment of its own. *Used*: a suite that uses it, with tests that pass and tests that fail.
*Installed*: a suite that does not know of it. Verdicts, phases, texts, exit code, JUnit file and files written were compared
with pytest's, in a first run with one worker and in a second run with two, which knows what the first one saw; the modes
are those of the second.

CPython {python}. *Time* is that of tach's second run of the suite that does not know of the plugin, as a
multiple of pytest's: 30 trivial tests, where starting up is most of it, and one pair only, so it tells no more than its order.

| plugin | version | pytest | verdict | used | installed | time |
|---|---|---|---|---|---|---|
"""


@dataclass
class Row:
    """One plugin."""

    plugin: Plugin
    used: Trial
    installed: Trial

    @property
    def differences(self) -> list[Difference]:
        """Return all that differs, in both suites."""
        return self.used.differences + self.installed.differences

    @property
    def verdict(self) -> str:
        """Return the word of the table."""
        if self.differences:
            return f"{len(self.differences)} differences"
        return "same" if self.installed.modes else "same: neither starts"

    def line(self) -> str:
        """Return a line for the terminal."""
        used, installed = _modes(self.used.modes), _modes(self.installed.modes)
        return f"{self.plugin.name:40} {self.plugin.version:10} {self.verdict:15} used {used}; installed {installed}"


def _modes(modes: Counter[str]) -> str:
    if len(modes) == 1:
        return next(iter(modes))
    return ", ".join(f"{count} {mode}" for mode, count in sorted(modes.items())) or "none"


def write_table(file: Path, python: str, rows: list[Row], left_out: dict[str, str]) -> None:
    """Write the document."""
    text = _HEAD.format(python=python)
    for row in rows:
        cells = (
            row.plugin.name,
            row.plugin.version,
            row.plugin.pytest,
            row.verdict,
            _modes(row.used.modes),
            _modes(row.installed.modes),
        )
        text += f"| {' | '.join(cells)} | {row.installed.ratio:.2f} |\n"
    reasons = [(row.plugin.name, reason) for row in rows for reason in row.used.reasons + row.installed.reasons]
    if reasons:
        text += "\n## Why not all of them are rewound\n\n"
        text += "".join(f"- {name}: {reason}\n" for name, reason in dict.fromkeys(reasons))
    differences = [(row.plugin.name, difference) for row in rows for difference in row.differences]
    if differences:
        text += "\n## Differences\n\n"
        text += "".join(f"- {name}: `{difference}`\n" for name, difference in differences)
    text += "\n## Left out\n\n"
    text += "".join(f"- {name}: {why}\n" for name, why in left_out.items())
    file.write_text(text, encoding="utf-8")
