"""The tach side: runs tach-supervisor and turns its JSON, or what plugins saw under it, into a `Run`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from junit import read_junit
from model import COUNTED, PHASES, Case, Run
from normalise import normalise
from process import HarnessError, run
from reference import JUNIT_OPTIONS, RECORDER, listed_ids, plain_reason, recorded_run
from workspace import Workspace

# A phase's verdict in the words of reports, should tach use the words of outcomes.
_PHASE_WORDS = {"xfailed": "skipped", "xpassed": "passed", "error": "failed"}

# Outcomes whose message is a reason; for the others the longrepr is compared.
_WITH_REASON = ("skipped", "xfailed", "xpassed")


@dataclass(frozen=True)
class Tach:
    """Which tach, and what it is always given."""

    executable: Path
    args: tuple[str, ...] = ()
    warm: bool = False  # after a run whose bytecode image was made to its end

    @property
    def analyzer(self) -> Path:
        """Return tach-analyzer."""
        return self._stage("analyzer")

    @property
    def compiler(self) -> Path:
        """Return tach-compiler."""
        return self._stage("compiler")

    def _stage(self, room: str) -> Path:
        """Return a stage: beside tach where it is installed, in a room of its own where it is built."""
        beside = self.executable.with_name(f"tach-{room}")
        return beside if beside.is_file() else self.executable.parents[1] / room / beside.name

    def command(self, python: Path, *options: str) -> list[str]:
        """Return a command line up to where the user's own arguments start."""
        return [str(self.executable), "--python", str(python), *self.args, *options]


def compile_imports(space: Workspace, tach: Tach, python: Path, timeout: float) -> None:
    """Make the image of what a run has imported, to its end."""
    for imports in (space.project / ".tach/cache").glob("*.imports"):
        argv = [str(tach.compiler), "--imports", str(imports), "-o", str(imports.with_suffix(".bytecode"))]
        argv += ["--python", str(python), "--analysis", str(space.project / ".tach/analysis")]
        done = run(argv, space.project, space.env(record=False), timeout)
        if done.exit_code != 0:
            raise HarnessError(f"tach-compiler ended with {done.exit_code}: {done.stderr.strip()}")


def run_tach(space: Workspace, tach: Tach, python: Path, args: Sequence[str], timeout: float) -> Run:
    """Run tach with `--format json` on the workspace as it stands."""
    space.clear_recordings()
    argv = tach.command(python, "--format", "json", "--junit-xml", str(space.junit), *JUNIT_OPTIONS, *args)
    done = run(argv, space.project, space.env(record=False), timeout)
    result = Run(done.exit_code, events=space.read_events(), output=done.stderr, junit=read_junit(space.junit))
    if done.timed_out:
        result.problems.append(f"did not end within {done.duration:.0f} s")
    try:
        document = json.loads(done.stdout)
        fill_from_json(result, document)
        result.report = document
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        tail = (done.stdout[-200:] + done.stderr[-200:]).strip()
        result.problems.append(f"stdout is not one JSON object as promised: {error!r}: {tail!r}")
    return result


def run_tach_replay(space: Workspace, tach: Tach, python: Path, args: Sequence[str], timeout: float) -> Run:
    """Run tach as a user does, with the recorder loaded: what does a plugin see?"""
    space.clear_recordings()
    argv = tach.command(python, *RECORDER, *JUNIT_OPTIONS, "--junit-xml", str(space.junit), *args)
    return recorded_run(space, run(argv, space.project, space.env(record=True), timeout))


def list_tach(space: Workspace, tach: Tach, python: Path, args: Sequence[str], timeout: float) -> list[str]:
    """Return the ids that `tach-supervisor --list` prints."""
    argv = tach.command(python, "--list", *args)
    return listed_ids(run(argv, space.project, space.env(record=False), timeout).stdout)


def fill_from_json(result: Run, document: dict[str, Any]) -> None:
    """Add cases, counts and, where told, warnings from tach's JSON document."""
    summary = document["summary"]
    result.cases = [_case(test) for test in document["tests"]]
    result.counts = {name: int(summary.get(name, 0)) for name in COUNTED}
    result.counts.update({name: summary[name] for name in ("crashed", "timeout") if summary.get(name)})
    result.warnings = summary.get("warnings")
    result.loaded = int(document.get("metrics", {}).get("modules_from_image", 0))
    result.modes = dict(Counter(test["mode"] for test in document["tests"] if test.get("mode")))
    if document["exit_code"] != result.exit_code:
        result.problems.append(f"exit_code {document['exit_code']} in JSON, {result.exit_code} in fact")


def _case(test: dict[str, Any]) -> Case:
    outcome = test["outcome"]
    if outcome == "other" and set(_phases(test.get("phases") or {})) <= {"setup"}:
        outcome = ""  # the session ended in it: pytest knows no outcome of such a test
    return Case(
        nodeid=test["nodeid"],
        phases=_phases(test.get("phases") or {}),
        outcome=outcome,
        reason=plain_reason(test.get("message") or "") if outcome in _WITH_REASON else "",
        text=normalise(test.get("longrepr") or "") if outcome not in _WITH_REASON else "",
        stdout=normalise(test.get("stdout") or ""),
        stderr=normalise(test.get("stderr") or ""),
    )


def _phases(phases: dict[str, Any]) -> dict[str, str]:
    told = {name: (phases.get(name) or {}).get("outcome") for name in PHASES}
    return {name: _PHASE_WORDS.get(word, word) for name, word in told.items() if word}
