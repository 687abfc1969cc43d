#!/usr/bin/env python3
"""Times of tach-analyzer beside a bare parse of the same files and `pytest --collect-only`, all in the same run.

    analyzer.py --analyzer build/analyzer/tach-analyzer --parse-bench build/bench/analyzer/parse_bench [PROJECT...]

Projects are `flat10k` (500 files, 10,000 tests), `lines` (a tree of --lines lines) and directories of real ones, which
are copied. For each: cold (no cache), unchanged, one file changed, one file touched. Rounds alternate between the
programs, so that noise of the machine meets all of them; medians and the best are printed. Ratios are of medians.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import workloads


def write_lines(root: Path, lines: int) -> None:
    """A package of modules with classes, functions and imports, and a test file for each, some forty lines a function."""
    body = "".join(f"    total = helper(value, {n}) + table.get('key{n}', {n}) * (value - {n})\n" for n in range(18))
    function = "def work_{n}(value, table):\n" + body + "    return total\n\n\n"
    files = max(1, lines // 420)
    for number in range(files):
        head = f"import os\nfrom package import module_{(number + 1) % files} as other\n\n\ndef helper(a, b):\n    return a\n\n\n"
        text = head + "".join(function.format(n=n) for n in range(18))
        workloads.put(root / f"package/module_{number}.py", text)
    workloads.put(root / "package/__init__.py", "")
    workloads.put(root / "pytest.ini", "[pytest]\ntestpaths = package\n")


def copy_project(source: Path, root: Path) -> None:
    shutil.copytree(source, root, symlinks=True, ignore=shutil.ignore_patterns(".git", ".tach", "__pycache__"))


def timed(command: list[str], cwd: Path, expected: tuple[int, ...] = (0,)) -> float:
    """Seconds for a whole process, from before its start to after its end."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    seconds = time.perf_counter() - started
    if done.returncode not in expected:
        sys.exit(f"{command[0]} ended with {done.returncode}:\n{done.stderr.decode(errors='replace')}")
    return seconds


def sources(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.py") if not any(part.startswith(".") for part in path.parts[1:]))


def shown(samples: list[float]) -> str:
    return f"{statistics.median(samples) * 1000:9.2f} ms (best {min(samples) * 1000:.2f})"


def measure(name: str, root: Path, options: argparse.Namespace) -> None:
    output = root / ".tach/analysis"
    analyze = [options.analyzer, "--root", str(root), "-o", str(output)]
    paths = sources(root)
    size = sum(path.stat().st_size for path in paths)
    listing = root / ".tach-files"
    listing.write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
    jobs = str(len(os.sched_getaffinity(0)))
    victim = max(paths, key=lambda path: (path.name.startswith("test_"), -path.stat().st_size))
    original = victim.read_bytes()

    def cold() -> float:
        shutil.rmtree(root / ".tach", ignore_errors=True)
        return timed(analyze, root)

    def changed() -> float:
        victim.write_bytes(b"# further down\n" + victim.read_bytes())  # so that every place in it is another
        return timed(analyze, root)

    def touched() -> float:
        os.utime(victim)
        return timed(analyze, root)

    kinds: dict[str, Callable[[], float]] = {
        "bare parse": lambda: timed([options.parse_bench, jobs, str(listing)], root),
        "cold": cold,
        "unchanged": lambda: timed(analyze, root),
        "one changed": changed,
        "one touched": touched,
    }
    if options.python:
        collect = [options.python, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
        kinds["pytest --collect-only"] = lambda: timed(collect, root, (0, 1, 2, 5))
    samples: dict[str, list[float]] = {kind: [] for kind in kinds}
    timed(analyze, root)
    time.sleep(0.1)  # the clock of the file system goes in steps: what was just written counts as unsettled
    for _ in range(options.rounds):
        for kind, run in kinds.items():
            if kind == "pytest --collect-only" and len(samples[kind]) >= options.pytest_rounds:
                continue
            if kind == "unchanged":
                time.sleep(0.05)
                timed(analyze, root)
            samples[kind].append(run())
    victim.write_bytes(original)
    listing.unlink()
    print(f"{name}: {len(paths)} files, {size / 1e6:.1f} MB, {jobs} processors")
    for kind, times in samples.items():
        print(f"  {kind:22} {shown(times)}")
    ratio = statistics.median(samples["cold"]) / statistics.median(samples["bare parse"])
    print(f"  cold / bare parse      {ratio:9.2f}", flush=True)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("projects", nargs="*", default=["flat10k", "lines"])
    parser.add_argument("--analyzer", type=os.path.abspath, required=True)
    parser.add_argument("--parse-bench", type=os.path.abspath, required=True)
    parser.add_argument("--python", help="an interpreter with pytest, to be compared with")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--pytest-rounds", type=int, default=3)
    parser.add_argument("--lines", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    for name in options.projects:
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory).resolve() / "project"
            if name == "flat10k":
                root.mkdir()
                workloads.put(root / "pytest.ini", "[pytest]\n")
                workloads.write_flat(root, 1.0)
            elif name == "lines":
                root.mkdir()
                write_lines(root, options.lines)
            else:
                copy_project(Path(name), root)
            measure(Path(name).name, root, options)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
