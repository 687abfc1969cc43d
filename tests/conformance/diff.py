"""The comparison of two runs. Pure: two `Run`s in, a list of `Difference`s out, in a stable order."""

from __future__ import annotations

from collections.abc import Iterator

from events import event_differences
from model import Case, Difference, JunitCase, Run, numbered
from normalise import first_difference, one_line

# Differences that follow from a single test's verdict; they go away when that verdict is explained.
VERDICT_KINDS = ("PHASE", "OUTCOME", "REASON", "TEXT", "STDOUT", "STDERR")


def compare(pytest: Run, tach: Run, events: bool = True) -> list[Difference]:
    """Return every difference between two runs; those of the fixtures' log only if asked for."""
    found = [Difference("PROBLEM", "", "-", problem) for problem in tach.problems]
    found += [Difference("PROBLEM", "", problem, "-") for problem in pytest.problems]
    found += _case_differences(pytest, tach)
    found += _run_differences(pytest, tach)
    found += _junit_differences(pytest.junit, tach.junit)
    found += event_differences(pytest.events, tach.events) if events else []
    return found


def _case_differences(pytest: Run, tach: Run) -> Iterator[Difference]:
    expected = dict(zip(numbered([case.nodeid for case in pytest.cases]), pytest.cases))
    actual = dict(zip(numbered([case.nodeid for case in tach.cases]), tach.cases))
    yield from _id_differences(list(expected), list(actual), "")
    for nodeid, case in expected.items():
        if nodeid in actual:
            yield from _one_case(nodeid, case, actual[nodeid])


def _id_differences(expected: list[str], actual: list[str], prefix: str) -> Iterator[Difference]:
    known, told = set(expected), set(actual)
    yield from (Difference(prefix + "MISSING", name, "present", "absent") for name in expected if name not in told)
    yield from (Difference(prefix + "EXTRA", name, "absent", "present") for name in actual if name not in known)
    common = [name for name in expected if name in told], [name for name in actual if name in known]
    for place, (ours, theirs) in enumerate(zip(*common)):
        if ours != theirs:
            yield Difference(prefix + "ORDER", ours, f"at {place}", f"{theirs} at {place}")
            return


def _one_case(nodeid: str, pytest: Case, tach: Case) -> Iterator[Difference]:
    for phase in ("setup", "call", "teardown"):
        ours, theirs = pytest.phases.get(phase, "none"), tach.phases.get(phase, "none")
        if ours != theirs:
            yield Difference("PHASE", nodeid, f"{phase}:{ours}", f"{phase}:{theirs}")
    if not set(pytest.outcome.split("|")) & set(tach.outcome.split("|")):
        yield Difference("OUTCOME", nodeid, pytest.outcome, tach.outcome)
    # A bare xfail has no reason; what tach says instead is its own affair.
    if pytest.reason and pytest.reason != tach.reason:
        yield Difference("REASON", nodeid, one_line(pytest.reason), one_line(tach.reason))
    for kind, ours, theirs in (
        (
            "TEXT",
            pytest.every_text if _solid(tach.text) == _solid(pytest.every_text) else pytest.text,
            tach.text,
        ),
        ("STDOUT", pytest.stdout, tach.stdout),
        ("STDERR", pytest.stderr, tach.stderr),
    ):
        if _solid(ours) != _solid(theirs):
            yield Difference(kind, nodeid, *first_difference(_solid(ours), _solid(theirs)))


def _solid(text: str) -> str:
    """Leave out empty lines: how many stand between two phases' texts is nobody's contract."""
    return "\n".join(line for line in text.splitlines() if line)


def _run_differences(pytest: Run, tach: Run) -> Iterator[Difference]:
    if pytest.exit_code != tach.exit_code:
        yield Difference("EXIT", "", str(pytest.exit_code), str(tach.exit_code))
    for name in sorted(pytest.counts.keys() | tach.counts.keys()):
        ours, theirs = pytest.counts.get(name, 0), tach.counts.get(name, 0)
        if ours != theirs:
            yield Difference("COUNT", "", f"{ours} {name}", f"{theirs} {name}")
    if None not in (pytest.warnings, tach.warnings) and pytest.warnings != tach.warnings:
        yield Difference("WARNINGS", "", str(pytest.warnings), str(tach.warnings))
    if pytest.listed is not None and tach.listed is not None:
        yield from _id_differences(numbered(pytest.listed), numbered(tach.listed), "LIST-")


def _junit_differences(pytest: list[JunitCase] | None, tach: list[JunitCase] | None) -> Iterator[Difference]:
    if pytest is None or tach is None:
        return
    expected, actual = {case.key: case for case in pytest}, {case.key: case for case in tach}
    yield from _id_differences(list(expected), list(actual), "JUNIT-")
    for key, case in expected.items():
        if key not in actual:
            continue
        theirs = actual[key].parts
        for part in sorted(case.parts.keys() | theirs.keys()):
            a, b = case.parts.get(part, "absent"), theirs.get(part, "absent")
            if a != b:
                yield Difference("JUNIT", key, f"{part} {first_difference(a, b)[0]}", first_difference(a, b)[1])


def error_lines(output: str) -> list[str]:
    """Return the lines of a terminal output that state errors: what a user must find under either runner."""
    return [line.rstrip() for line in output.splitlines() if line.startswith(("E  ", "ERROR", "!!!", "INTERNALERROR"))]


def output_differences(pytest: str, tach: str) -> Iterator[Difference]:
    """Yield the error lines of pytest's output that tach's does not show."""
    shown = set(error_lines(tach)) | {line.strip() for line in tach.splitlines()}
    for line in dict.fromkeys(error_lines(pytest)):
        if line not in shown and line.strip() not in shown:
            yield Difference("OUTPUT", "", one_line(line), "absent")


def prefixed(prefix: str, differences: list[Difference]) -> list[Difference]:
    """Mark differences as belonging to a variant of the run (REPLAY, a step)."""
    return [Difference(prefix + d.kind, d.nodeid, d.pytest, d.tach) for d in differences]
