#!/usr/bin/env python3
"""Runs pytest and tach on the same project and prints every difference.

    conformance.py compare --tach PATH [--python EXE] PROJECT [ARGS...]    one project
    conformance.py selftest                     is every kind of difference printed?
    conformance.py fetch [--suites a,b]         download the suites of real projects
    conformance.py all --tach PATH              our own suite and all six, on every python and pytest
    conformance.py quick --tach PATH            the same, small enough for CI
    conformance.py plugins --tach PATH          samples of the six where 47 plugins are installed (--whole: all of them)
    conformance.py analysis --tach PATH         what tach-analyzer says of the six, what pytest collects, and what
                                                comes of a sample of their tests (--whole: of all) when they run

Exits 0 without differences, 1 with, 2 if it could not run. `all` and `quick` end with `N passed, N failed`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

from analysis import Subject, compare_analysis
from foretold import SAFE_GOAL, counts
from job import Job, run_job
from matrix import Combination, Settings, all_requirements, own_combinations, real_combinations, run_all
from process import HarnessError
from pythons import PYTESTS, Python, describe, discover, environment
from selftest import selftest
from subject import Tach
from suites import Suite, default_cache, fetch, load_suites, select_suites

QUICK_SUITES = "pluggy,more-itertools"

# What `plugins` installs all together, and what keeps one of them from a warning that some suites make an error.
INSTALLED_PLUGINS = Path(__file__).resolve().parents[1] / "plugins" / "together.txt"
PLUGIN_ARGS = ("-o", "asyncio_default_fixture_loop_scope=function")

say = partial(print, flush=True)


def main() -> int:
    """Run a command; return the exit code."""
    options, args = _split(sys.argv[1:])
    try:
        return COMMANDS[options.command](options, args)
    except HarnessError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2


def _split(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Parse the options; what follows `--`, and for `compare` the project, is for the runners."""
    ours, _, theirs = "\0".join(argv).partition("\0--\0")
    options, unknown = _parser().parse_known_args(ours.split("\0") if ours else [])
    if unknown and options.command != "compare":
        _parser().error(f"unknown arguments: {' '.join(unknown)}")
    return options, unknown + (theirs.split("\0") if theirs else [])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in COMMANDS:
        command = commands.add_parser(name, allow_abbrev=False)
        command.add_argument("--cache", type=Path, default=default_cache(), help="downloads and environments")
        command.add_argument("--tach", type=Path, help="path of tach-supervisor")
        if name in ("compare", "all", "quick", "plugins"):
            _add_runner(command)
        if name != "fetch":
            command.add_argument("--python", action="append", default=[], metavar="EXE")
            command.add_argument("--pytest", action="append", default=[], metavar="VERSION")
        if name == "analysis":
            command.add_argument("--analyzer", type=Path, help="tach-analyzer (default: of the build of --tach)")
            command.add_argument("--whole", action="store_true", help="run all tests, not the sample of each suite")
        if name == "plugins":
            command.add_argument("--whole", action="store_true", help="run all tests, not the sample of each suite")
        if name in ("all", "quick", "plugins", "fetch", "analysis"):
            everything = ",".join(load_suites())
            command.add_argument("--suites", default=QUICK_SUITES if name == "quick" else everything)
        if name in ("all", "quick", "plugins"):
            command.add_argument("--jobs", type=int, default=0, help="combinations at once (default: one a core)")
        if name in ("all", "quick"):
            command.add_argument("--own", default="", metavar="PART", help="only our own cases so named")
        if name == "compare":
            command.add_argument("project", type=Path)
    return parser


def _add_runner(command: argparse.ArgumentParser) -> None:
    command.add_argument("--tach-arg", action="append", default=[], help="given to tach alone, repeatable")
    command.add_argument("--warm", action="store_true", help="load from an image that an earlier run has made")
    command.add_argument("--no-replay", action="store_true", help="do not compare what plugins see")


def _tach(options: argparse.Namespace) -> Tach:
    if options.tach is None:
        raise HarnessError("--tach is missing: the path of tach-supervisor")
    executable: Path = options.tach.resolve()
    if not executable.is_file():
        raise HarnessError(f"{executable}: no such program")
    return Tach(executable, tuple(getattr(options, "tach_arg", ())), getattr(options, "warm", False))


def _pythons(options: argparse.Namespace) -> list[Python]:
    named = [describe(executable) for executable in options.python]
    if None in named:
        raise HarnessError(f"--python: not a usable Python 3.10 or later: {' '.join(options.python)}")
    found = [python for python in named if python is not None] or discover()
    if not found:
        raise HarnessError("no Python 3.10 or later with venv found with pyenv or on PATH")
    return found


def _compare(options: argparse.Namespace, args: list[str]) -> int:
    """Compare on one project; the interpreter given must have what the project needs."""
    python = Path(options.python[0] if options.python else sys.executable).absolute()
    job = Job(options.project, python, (tuple(args),), replay=not options.no_replay)
    verdict = run_job(job, _tach(options))
    for line in verdict.lines():
        say(line)
    say(f"{verdict.tests} tests, {len(verdict.differences)} differences")
    return 1 if verdict.differences else 0


def _selftest(options: argparse.Namespace, args: list[str]) -> int:
    versions = options.pytest or [PYTESTS[-1]]
    pythons = _pythons(options)[-1:]
    failures = 0
    for python in pythons:
        for version in versions:
            failures += selftest(environment(options.cache, python, version, ()), say)
    return 1 if failures else 0


def _fetch(options: argparse.Namespace, args: list[str]) -> int:
    for suite in select_suites(options.suites.split(",")):
        _, project = fetch(suite, options.cache)
        say(f"{suite.name} {suite.version}: {project}")
    return 0


def _all(options: argparse.Namespace, args: list[str]) -> int:
    """Run everything on every interpreter with every pytest."""
    pairs = [(python, pytest) for python in _pythons(options) for pytest in options.pytest or PYTESTS]
    return _run(options, args, own_combinations(pairs, options.own) + real_combinations(_suites(options), pairs))


def _quick(options: argparse.Namespace, args: list[str]) -> int:
    """Run the self test, then old pytest on old python and new on new; of what lies between, the core, told briefly.

    The new ones run on tach's default engine, the old ones on fork.
    """
    if _selftest(options, args):
        return 1
    pythons, versions = _pythons(options), options.pytest or list(PYTESTS)
    old, new = (pythons[0], versions[0]), (pythons[-1], versions[-1])
    middle = [(pythons[-1], version) for version in versions[1:-1]]
    own = own_combinations([new], options.own) + own_combinations([old], options.own, "fork")
    own = [c for c in own if not c.label.startswith("own/core-short") or not middle]
    own += own_combinations(middle, options.own or "core-short")
    # The largest first, so that no core waits for it at the end; of the real suites, samples.
    real = [replace(c, sampled=True, warm=True) for c in real_combinations(_suites(options), [new])]
    return _run(options, args, real + own)


def _plugins(options: argparse.Namespace, args: list[str]) -> int:
    """Run the real suites where many plugins are installed that they do not know of."""
    pairs = [(_pythons(options)[-1], version) for version in options.pytest or [PYTESTS[-1]]]
    real = [replace(c, sampled=not options.whole) for c in real_combinations(_suites(options), pairs)]
    lines = (line.partition("#")[0].strip() for line in INSTALLED_PLUGINS.read_text(encoding="utf-8").splitlines())
    return _run(options, [*PLUGIN_ARGS, *args], real, tuple(filter(None, lines)))


def _analysis(options: argparse.Namespace, args: list[str]) -> int:
    """Compare the analysis of each suite with pytest's collection and tach's runs; newest pytest, newest interpreter."""
    python, tach, modules, failed = _pythons(options)[-1], _tach(options), Counter[str](), 0
    analyzer = (options.analyzer or tach.analyzer).resolve()
    say(f"{'suite':16} {'pytest':8} {'items':>7} {'known':>14}  {'differences':>11}  modules of tests; tests that ran")
    versions = options.pytest or [PYTESTS[-1]]
    pairs = [(version, suite) for version in versions for suite in _suites(options) if suite.runs_on(version)]
    for version, suite in pairs:
        executable = environment(options.cache, python, version, all_requirements(options.cache))
        project = fetch(suite, options.cache)[1]
        sample = () if options.whole else suite.sample
        verdict = compare_analysis(analyzer, tach, Subject(project, executable, version, suite.args, sample))
        share = f"{verdict.known} ({verdict.known / max(verdict.items, 1):.1%})"
        found = verdict.differences
        called = f"{counts(verdict.modules)}; {verdict.foretold}"
        say(f"{suite.name:16} {version:8} {verdict.items:>7} {share:>14}  {len(found):>11}  {called}")
        for line in found[:20]:
            say(f"    {line}")
        modules += verdict.modules
        failed += bool(found)
    is_enough = _say_shares(modules)
    say(f"{len(pairs) + is_enough - failed} passed, {failed + (not is_enough)} failed")
    return 1 if failed or not is_enough else 0


def _say_shares(modules: Counter[str]) -> bool:
    """Print which share of the modules of tests is of which level, and say whether enough of them are safe."""
    total = max(modules.total(), 1)
    shares = ", ".join(f"{modules[level] / total:.1%} {level}" for level in ("safe", "toxic", "unknown"))
    say(f"modules of tests: {shares}; the goal is more than {SAFE_GOAL:.0%} safe")
    return modules["safe"] / total > SAFE_GOAL


def _suites(options: argparse.Namespace) -> list[Suite]:
    return select_suites(list(filter(None, options.suites.split(","))))


def _run(
    options: argparse.Namespace, args: list[str], combinations: list[Combination], installed: tuple[str, ...] = ()
) -> int:
    jobs = options.jobs or os.cpu_count() or 1
    settings = Settings(_tach(options), options.cache.resolve(), jobs, not options.no_replay, tuple(args), installed)
    return 1 if run_all(combinations, settings, say) else 0


COMMANDS = {
    "compare": _compare,
    "selftest": _selftest,
    "fetch": _fetch,
    "all": _all,
    "quick": _quick,
    "plugins": _plugins,
    "analysis": _analysis,
}

if __name__ == "__main__":
    sys.exit(main())
