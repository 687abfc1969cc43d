"""Compares what tach-analyzer foretold of tests with what tach found when it ran them.

A test is called safe if nothing that its process has at the start (its module, what that imports, the conftest files) and
no wide fixture that it uses is toxic or unknown. Such a test must not end with a process that cannot be rewound, run
shared because of what a wide fixture holds, or keep the whole session from being forked, if the cause is of a kind that
the analyzer has rules for. What the body of a test leaves behind is foretold by a hint, which every file that the test is
made of may have.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

# What the guard and the engine say (zygote/guard.cpp, zygote/kernel_state.cpp, harness/tach_harness/quiet.py), and the
# reasons of the rules that are about it. A cause that is not here has no rule: a descriptor closed, a file open for
# writing, a fixture that is asked for while the test runs.
_KINDS: tuple[tuple[str, frozenset[str]], ...] = (
    (
        r"thread: |it left a thread running|started a? ?thread|the process has more than one thread",
        frozenset({"thread", "background-thread", "event-loop", "native-code"}),
    ),
    (
        r"child: |left a child process|left a process that shares its memory|it started a new session",
        frozenset({"process"}),
    ),
    (
        r"(socket|pipe|descriptor): |left a (socket|pipe|descriptor) open",
        frozenset({"socket", "event-loop", "process", "shared-memory"}),
    ),
    (r"shared memory: |left shared memory", frozenset({"shared-memory", "process"})),
    (
        r"changed the process' user|changed its user, groups or rights|set no_new_privs|installed a seccomp filter",
        frozenset({"credentials"}),
    ),
    (r"lowered a hard resource limit|raised the nice value", frozenset({"resource-limits"})),
    (r"changed an interval timer|deleted a timer", frozenset({"signal-handler"})),
)

_REPLACED = ": its process is replaced"
_KNOWN = "forked, since it could not be rewound before: "
_SHARED = re.compile(r"^shared from (.+?) on: (.+)$", re.MULTILINE)
_SOLO = re.compile(r"^not isolated: (.+)$", re.MULTILINE)

SAFE_GOAL = 0.7


@dataclass(frozen=True)
class Event:
    """Something that kept tests from being rewound. Without a test it is of the whole session."""

    nodeid: str
    why: str

    @property
    def reasons(self) -> frozenset[str]:
        """Return the reasons of the rules that are about such a thing; none if no rule is."""
        return next((reasons for pattern, reasons in _KINDS if re.search(pattern, self.why)), frozenset())


@dataclass
class Foretold:
    """How the two went together. Every test is counted once in `tests`, and each event once in `events`."""

    tests: Counter[str] = field(default_factory=Counter)  # as they were called: safe, toxic, unknown
    events: Counter[str] = field(default_factory=Counter)  # foretold, hinted, without a rule, wrong
    wrong: list[Event] = field(default_factory=list)

    def __str__(self) -> str:
        """Print both counts in one line."""
        return f"{counts(self.tests) or 'no test'}; not rewound: {counts(self.events) or 'none'}"


def events_of(report: dict[str, Any], told: str) -> Iterator[Event]:
    """Find what happened in tach's JSON and in the summary that it printed beside it."""
    for test in report["tests"]:
        for line in test["note"].splitlines():
            if line.endswith(_REPLACED):
                yield Event(test["nodeid"], line.removesuffix(_REPLACED))
            elif line.startswith(_KNOWN):
                yield Event(test["nodeid"], line.removeprefix(_KNOWN))
    yield from (Event(nodeid, why) for nodeid, why in _SHARED.findall(told))
    yield from (Event("", why) for why in _SOLO.findall(told))


def compare_foretold(analysis: dict[str, Any], report: dict[str, Any], told: str) -> Foretold:
    """Compare the JSON of tach-analyzer with that of tach-supervisor and what it printed on stderr."""
    oracle, found = _Oracle(analysis), Foretold()
    for test in report["tests"]:
        found.tests[oracle.level(test["nodeid"])] += 1
    for event in events_of(report, told):
        kind = oracle.judge(event)
        found.events[kind] += 1
        if kind == "wrong":
            found.wrong.append(event)
    return found


def module_levels(analysis: dict[str, Any]) -> Counter[str]:
    """Count the modules of tests by their level."""
    return Counter(module["level"] for module in analysis["modules"] if module["kind"] == "test")


def counts(counter: Counter[str]) -> str:
    """Print a counter in one line."""
    return ", ".join(f"{count} {what}" for what, count in sorted(counter.items()))


class _Oracle:
    """What an analysis says of a test, be it by its id or, if that is not known, by its function or file."""

    def __init__(self, analysis: dict[str, Any]) -> None:
        self._modules = {module["path"]: module for module in analysis["modules"]}
        self._fixtures = analysis["fixtures"]
        self._of_id: dict[str, set[int]] = {}
        self._of_function: dict[str, set[int]] = {}
        self._definitions: dict[str, set[str]] = {}
        for test in analysis["tests"]:
            function = _function(test["id"])
            self._of_id.setdefault(test["id"], set()).update(test["fixtures"])
            self._of_function.setdefault(function, set()).update(test["fixtures"])
            self._definitions.setdefault(function, set()).add(test["at"]["file"])
        # setup_module and its like are in nobody's list, and of every test of their file.
        self._generated: dict[str, list[dict[str, Any]]] = {}
        listed = set().union(*self._of_id.values(), *(fixture["needs"] for fixture in self._fixtures))
        for place, fixture in enumerate(self._fixtures):
            if place not in listed and fixture["autouse"] and fixture["at"] is not None:
                self._generated.setdefault(fixture["at"]["file"], []).append(fixture)

    def level(self, nodeid: str) -> str:
        """Return what a test is called: the worst of its parts."""
        file = nodeid.partition("::")[0]
        if file not in self._modules:
            return "unknown"
        levels = {part["level"] for part in (self._modules[file], *self._wide(nodeid))}
        return next(level for level in ("toxic", "unknown", "safe") if level in levels)

    def judge(self, event: Event) -> str:
        """Say whether an event was to be expected."""
        if not event.reasons:
            return "without a rule"
        if not event.nodeid:
            return "wrong" if {module["level"] for module in self._imported()} <= {"safe"} else "foretold"
        if self.level(event.nodeid) != "safe":
            return "foretold"
        hints = {hint["reason"] for module in self._parts(event.nodeid) for hint in module["hints"]}
        return "hinted" if hints & event.reasons else "wrong"

    def _imported(self) -> Iterable[dict[str, Any]]:
        return [module for module in self._modules.values() if module["kind"] in ("test", "conftest")]

    def _used(self, nodeid: str) -> list[dict[str, Any]]:
        places = self._of_id.get(nodeid) or self._of_function.get(_function(nodeid), set())
        every = set(places).union(*(self._fixtures[place]["needs"] for place in places))
        return [self._fixtures[place] for place in every]

    def _wide(self, nodeid: str) -> list[dict[str, Any]]:
        files = {nodeid.partition("::")[0], *self._definitions.get(_function(nodeid), ())}
        generated = [fixture for file in files for fixture in self._generated.get(file, ())]
        return [fixture for fixture in (*self._used(nodeid), *generated) if fixture["scope"] != "function"]

    def _parts(self, nodeid: str) -> list[dict[str, Any]]:
        files = {nodeid.partition("::")[0], *self._definitions.get(_function(nodeid), ())}
        files.update(fixture["at"]["file"] for fixture in self._used(nodeid) if fixture["at"] is not None)
        return [self._modules[file] for file in files if file in self._modules]


def _function(nodeid: str) -> str:
    return nodeid.partition("[")[0]
