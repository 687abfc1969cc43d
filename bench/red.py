#!/usr/bin/env python3
"""Measures what failing tests cost: tach beside pytest on one suite of which 0, 1, 20 and 100 % of the tests fail.

One invocation measures everything it prints. Within each round pytest and tach run the green suite and each red one in
turn; ratios are taken within a round, and their median is printed: against pytest on the same suite, and against the
same runner on the green suite. What tach remembers is removed before each run, so that no failure is known to be
confirmed (`--remembered` keeps it).

Each test fails at a place of its own, since failures of one cause are confirmed together; `--one-cause` lets them all
fail in one fixture instead. `--milliseconds` is what a test takes beside that. With `--project` it is a suite of your
own: a plugin lets the share of its tests fail that would pass otherwise, each once its body has run.

A runner whose counts or exit code differ from pytest's is marked on its line, and the program ends with 1. Ends with 77
(skipped, for Meson) when the interpreter has no pytest.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from compare import SKIPPED, Run, Runner, can_import, progress, run_once
from workloads import positive, put, scaled

SHARES = (0, 1, 20, 100)
FILES, FUNCTIONS = 100, 20
# Coprime to 100, so that failures are spread over files and places in them.
STRIDE = 61

PLUGIN = '''\
"""Lets tests fail whose bodies have passed: a share of them, the same ones in each run."""

import zlib

import pytest

SHARE = {share}


@pytest.hookimpl(hookwrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    outcome = yield
    if outcome.excinfo is None and zlib.crc32(pyfuncitem.nodeid.encode()) % 100 < SHARE:
        outcome.force_exception(AssertionError(f"made to fail: {{pyfuncitem.nodeid}}"))
'''


def failing(number: int, share: int) -> bool:
    return number * STRIDE % 100 < share


def write_suite(root: Path, scale: float, share: int, milliseconds: float, one_cause: bool) -> int:
    """The suite of which `share` percent of the tests fail; returns how many tests it has."""
    put(root / "pytest.ini", "[pytest]\ntestpaths = tests\npythonpath = .\n")
    put(
        root / "conftest.py",
        'import pytest\n\n\n@pytest.fixture\ndef broken():\n    raise RuntimeError("no database")\n',
    )
    files = scaled(FILES, scale)
    for file in range(files):
        body = "import time\n\n\n"
        for function in range(FUNCTIONS):
            number = file * FUNCTIONS + function
            fails = failing(number, share)
            asks = "broken" if fails and one_cause else ""
            body += f"def test_{number}({asks}):\n"
            body += f"    time.sleep({milliseconds / 1000})\n" if milliseconds else ""
            body += f"    value = {number} * 3 + 1\n    assert value == {number * 3 + (2 if fails else 1)}\n\n\n"
        put(root / f"tests/test_red_{file:03}.py", body)
    return files * FUNCTIONS


def copy_project(project: Path, root: Path, share: int) -> None:
    """A suite of somebody's, with the plugin that lets a share of it fail."""
    shutil.copytree(project, root, symlinks=True, ignore=shutil.ignore_patterns(".tach", ".git", "__pycache__"))
    put(root / "tach_bench_failing.py", PLUGIN.format(share=share))


def runners(options: argparse.Namespace, words: list[str]) -> list[Runner]:
    found = [Runner("pytest", [options.python, "-m", "pytest", "-q", *words])]
    if options.tach:
        tach = str(Path(options.tach).resolve())
        command = [tach, "--python", options.python, "-n", str(options.workers), "-q", *words]
        found.append(Runner("tach", command))
        if options.without:
            found.append(Runner("tach, no rerun", [*command, "--no-second-opinion"]))
    return found


class Measured:
    """Seconds of each runner and share, by round."""

    def __init__(self) -> None:
        self.runs: dict[tuple[str, int], list[Run]] = {}

    def add(self, name: str, share: int, run: Run) -> None:
        self.runs.setdefault((name, share), []).append(run)

    def ratio(self, one: tuple[str, int], other: tuple[str, int]) -> float:
        pairs = zip(self.runs[one], self.runs[other], strict=True)
        return statistics.median(mine.seconds / theirs.seconds for mine, theirs in pairs)

    def complaint(self, name: str, share: int) -> str:
        for run, reference in zip(self.runs[name, share], self.runs["pytest", share], strict=True):
            if not run.agrees_with(reference):
                return f"DIFFERS: {run.counts}, exit {run.exit_code}; pytest: {reference.counts}, {reference.exit_code}"
        return ""


def measure(options: argparse.Namespace, into: Path) -> Measured:
    measured = Measured()
    projects = {}
    for share in options.shares:
        projects[share] = into / f"red_{share}"
        if options.project:
            copy_project(options.project, projects[share], share)
        else:
            write_suite(projects[share], options.scale, share, options.milliseconds, options.one_cause)
    words = [*(["-p", "tach_bench_failing"] if options.project else []), *options.words]
    if options.project:
        os.environ["PYTHONPATH"] = "."
    for number in range(options.rounds):
        for share, project in projects.items():
            for runner in runners(options, words):
                if not options.remembered:
                    shutil.rmtree(project / ".tach", ignore_errors=True)
                run, _ = run_once(runner, project, sample=False)
                measured.add(runner.name, share, run)
                progress(f"round {number + 1}, {share} %, {runner.name}: {run.seconds:.2f} s")
    progress("")
    return measured


def report(options: argparse.Namespace, measured: Measured) -> bool:
    print(f"{'runner':<16}{'failing':>8}{'median s':>10}{'x pytest':>10}{'x green':>10}")
    right = True
    green = options.shares[0]
    for name, share in measured.runs:
        seconds = statistics.median(run.seconds for run in measured.runs[name, share])
        ratios = (measured.ratio((name, share), ("pytest", share)), measured.ratio((name, share), (name, green)))
        complaint = measured.complaint(name, share)
        print(f"{name:<16}{share:>6} %{seconds:>10.2f}{ratios[0]:>10.2f}{ratios[1]:>10.2f}  {complaint}".rstrip())
        right = right and not complaint
    return right


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="ARGUMENT", help="for both runners, after --")
    parser.add_argument("--tach", help="the tach-supervisor to measure (default: pytest alone)")
    parser.add_argument("--python", default=sys.executable, help="the interpreter with pytest (default this one)")
    parser.add_argument(
        "--shares", type=int, nargs="+", default=list(SHARES), help="percent; the first is the green one"
    )
    parser.add_argument("--milliseconds", type=float, default=0, help="that each test sleeps (default 0)")
    parser.add_argument("--one-cause", action="store_true", help="all failures are one fixture's")
    parser.add_argument("--project", type=Path, help="a suite of your own instead, copied")
    parser.add_argument("--without", action="store_true", help="measure tach without second opinions, too")
    parser.add_argument("--remembered", action="store_true", help="keep .tach between runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=positive, default=1.0, help="share of the 2,000 tests")
    parser.add_argument("--workers", "-n", type=int, default=2)
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if wrong := [share for share in options.shares if not 0 <= share <= 100]:
        parser.error(f"--shares: {wrong[0]} is no percentage")
    return options


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    if not can_import(options.python, "pytest"):
        print(f"{options.python} has no pytest: nothing to compare with")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="tach-bench-") as directory:
        return 0 if report(options, measure(options, Path(directory))) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
