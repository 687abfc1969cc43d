#!/usr/bin/env python3
"""Tries plugins from PyPI: a suite that uses each, and a neutral one where it is merely installed, by pytest and by tach.

    try_plugins.py --tach PATH [--python EXE] [--write FILE] [NAMES...]

For each plugin of plugins.toml an environment of its own is made. Verdicts, phases, texts, exit code, JUnit file and
files written are compared, in a first run with one worker and in a second with two. Prints a line a plugin,
every difference, and at the end `N passed, N failed`; with --write the table goes into a document.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "conformance"))

from process import HarnessError  # noqa: E402
from pythons import Python, describe, discover, environment  # noqa: E402
from subject import Tach  # noqa: E402
from suites import default_cache  # noqa: E402

from catalogue import Plugin, left_out, load_plugins  # noqa: E402  isort: skip
from table import Row, write_table  # noqa: E402  isort: skip
from trial import BRIEF, WHOLE, Trial, try_suite  # noqa: E402  isort: skip

SUITES = HERE / "suites"
say = partial(print, flush=True)


def main() -> int:
    options = _parser().parse_args()
    try:
        return _run(options)
    except HarnessError as error:
        print(f"try_plugins: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="plugins (default: all)")
    parser.add_argument("--tach", type=Path, required=True, help="path of tach-supervisor")
    parser.add_argument("--python", help="the interpreter (default: the newest that is found)")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="downloads and environments")
    parser.add_argument("--jobs", type=int, default=1, help="plugins at once; times are only good with one")
    parser.add_argument("--whole", action="store_true", help="two runs with one worker and two with two, not one each")
    parser.add_argument("--write", type=Path, help="the document that gets the table")
    return parser


def _run(options: argparse.Namespace) -> int:
    known = load_plugins()
    unknown = [name for name in options.names if name not in known]
    if unknown:
        raise HarnessError(f"unknown plugin {', '.join(unknown)}; known: {', '.join(known)}")
    python = describe(options.python) if options.python else discover()[-1]
    if python is None:
        raise HarnessError(f"--python: not a usable Python 3.10 or later: {options.python}")
    tach = Tach(options.tach.resolve())
    names = options.names or list(known)
    with ThreadPoolExecutor(options.jobs) as pool:
        started = [pool.submit(_try, known[name], python, tach, options.cache, options.whole) for name in names]
        for done in as_completed(started):
            row = done.result()
            say(row.line())
            for difference in row.differences:
                say(f"    {difference}")
    rows = [done.result() for done in started]
    if options.write:
        write_table(options.write, python.label, rows, left_out())
    failed = sum(bool(row.differences) for row in rows)
    say(f"{len(rows) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _try(plugin: Plugin, python: Python, tach: Tach, cache: Path, whole: bool) -> Row:
    executable = environment(cache, python, plugin.pytest, plugin.requirements)
    trials: list[Trial] = []
    for project in (SUITES / plugin.name, SUITES / "neutral"):
        with tempfile.TemporaryDirectory(prefix="tach-plugin-", ignore_cleanup_errors=True) as scratch:
            args = plugin.always + (plugin.args if project.name == plugin.name else ())
            root = Path(scratch).resolve()
            trials.append(try_suite(project, executable, args, tach, root, WHOLE if whole else BRIEF))
    return Row(plugin, *trials)


if __name__ == "__main__":
    sys.exit(main())
