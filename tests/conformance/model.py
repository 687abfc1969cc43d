"""What a test run is, for the comparison: cases in order, their phases, verdicts and texts.

Both sides, pytest's recording and tach's JSON, are turned into a `Run`, so that the comparison itself knows
neither of them. Values are plain data; nothing here runs anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PHASES = ("setup", "call", "teardown")

# The outcomes pytest counts in its last line; each is also a key of the summary in tach's JSON.
COUNTED = ("passed", "failed", "error", "skipped", "xfailed", "xpassed", "deselected")


@dataclass
class Case:
    """One test: what each phase came to, the final outcome, and the texts a user would read.

    `text` is the text of the phases that failed, `every_text` also of those skipped or expected to fail.
    """

    nodeid: str
    phases: dict[str, str] = field(default_factory=dict)
    outcome: str = ""
    reason: str = ""
    text: str = ""
    every_text: str = ""
    stdout: str = ""
    stderr: str = ""


@dataclass
class JunitCase:
    """One <testcase>, times left out. `parts` maps a part's name to its normalised value."""

    key: str
    parts: dict[str, str] = field(default_factory=dict)


@dataclass
class Run:
    """One session of either runner. None stands for what that side does not tell."""

    exit_code: int
    cases: list[Case] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    warnings: int | None = None
    junit: list[JunitCase] | None = None
    events: list[str] = field(default_factory=list)
    listed: list[str] | None = None
    modes: dict[str, int] = field(default_factory=dict)  # tach's: how many tests ran in each
    loaded: int = 0  # tach's: modules from its bytecode image
    output: str = ""
    report: dict[str, Any] = field(default_factory=dict)  # tach's JSON
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Difference:
    """One line of the report. An empty nodeid means the run as a whole."""

    kind: str
    nodeid: str
    pytest: str
    tach: str

    def __str__(self) -> str:
        """Print as `KIND nodeid: pytest=... tach=...`, always one line."""
        return f"{self.kind} {self.nodeid or '-'}: pytest={self.pytest} tach={self.tach}"


def numbered(names: list[str]) -> list[str]:
    """Make repeated names distinct, so that a test listed twice is compared twice."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        count = seen[name] = seen.get(name, 0) + 1
        unique.append(name if count == 1 else f"{name}#{count}")
    return unique
