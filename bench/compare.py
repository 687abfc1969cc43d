#!/usr/bin/env python3
"""Runs tach, pytest, pytest-xdist and pytest-forked on the workloads, in turn, and prints how they compare.

One invocation measures everything it prints: the runners take turns within each round, and each round starts with
another runner, so that a machine that slows down slows them all. Ratios are taken within a round, against pytest in
that round, and their median is printed. Memory is measured in a round of its own, because sampling it costs time: RSS
is that of the largest process, PSS that of all processes of the run together.

A runner that reports other counts or another exit code than pytest, or that pytest itself does not run what the
generator wrote, is marked on its line, and the program ends with 1: a fast runner that loses tests is not fast.
Ends with 77 (skipped, for Meson) when the interpreter has no pytest.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from workloads import WORKLOADS, Workload, generate, positive

SKIPPED = 77
# Above every expected run (chain under pytest-forked takes minutes at full size); a hang ends here.
RUN_LIMIT_S = 1800.0
# Often enough to see a worker that lives for a second; reading smaps_rollup takes well under a millisecond.
SAMPLE_EVERY_S = 0.05
COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed|crashed|timeout)\b")
NO_OTHERS = ["-p", "no:xdist", "-p", "no:forked"]


@dataclasses.dataclass(frozen=True)
class Runner:
    name: str
    command: list[str]


@dataclasses.dataclass
class Run:
    """What one run of one runner came to."""

    seconds: float
    exit_code: int | None
    counts: dict[str, int]
    tail: str

    @property
    def tests(self) -> int:
        return sum(self.counts.values())

    def agrees_with(self, other: Run) -> bool:
        return self.exit_code == other.exit_code and self.counts == other.counts


@dataclasses.dataclass(frozen=True)
class Memory:
    """Resident size of one process (rss), or of one or more with shared pages shared out among them (pss), in KiB."""

    rss: int = 0
    pss: int = 0


@dataclasses.dataclass
class Result:
    """All runs of one runner on one workload. `peak`: its largest process, and all of its processes together."""

    runs: list[Run] = dataclasses.field(default_factory=list)
    peak: Memory = Memory()


@dataclasses.dataclass(frozen=True)
class Bench:
    python: str
    runners: list[Runner]
    rounds: int
    scale: float
    cold: bool
    memory: bool


def can_import(python: str, module: str) -> bool:
    probe = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([python, "-c", probe], check=False, capture_output=True).returncode == 0


def available_runners(python: str, tach: str | None, workers: int) -> list[Runner]:
    pytest = [python, "-m", "pytest", "-q"]
    found = [Runner("pytest", [*pytest, *NO_OTHERS])]
    if tach:
        found.append(Runner("tach", [tach, "--python", python, "-n", str(workers), "-q", *NO_OTHERS]))
    if can_import(python, "xdist"):
        found.append(Runner(f"xdist -n{workers}", [*pytest, "-p", "no:forked", "-n", str(workers)]))
    if can_import(python, "pytest_forked"):
        found.append(Runner("forked", [*pytest, "-p", "no:xdist", "--forked"]))
    return found


def clean_environment() -> dict[str, str]:
    """The user's settings for pytest, and the harness that runs this program, must not change what is measured."""
    # PYTHONDONTWRITEBYTECODE would make every run a cold one.
    mine = ("PYTEST_", "PYTHON", "TACH_", "COV_", "COVERAGE_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
    return env | {"NO_COLOR": "1", "COLUMNS": "100", "PYTHONHASHSEED": "0"}


def counts_in(output: str) -> dict[str, int]:
    """The counts of pytest's last line, which every runner here ends with in pytest's wording."""
    for line in reversed(output.splitlines()):
        if found := COUNT.findall(line):
            return {kind.rstrip("s") if kind == "errors" else kind: int(count) for count, kind in found}
    return {}


class Sampler:
    """Watches the memory of a process and its descendants from a thread."""

    def __init__(self, pid: int) -> None:
        self.pid_ = pid
        self.peak_ = Memory()
        self.stop_ = threading.Event()
        self.thread_ = threading.Thread(target=self.watch_, daemon=True)
        self.thread_.start()

    def finish(self) -> Memory:
        self.stop_.set()
        self.thread_.join()
        return self.peak_

    def watch_(self) -> None:
        while not self.stop_.wait(SAMPLE_EVERY_S):
            seen = [memory_of(pid) for pid in tree_of(self.pid_)]
            largest = max(memory.rss for memory in seen)
            together = sum(memory.pss for memory in seen)
            self.peak_ = Memory(max(self.peak_.rss, largest), max(self.peak_.pss, together))


def parents() -> dict[int, int]:
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path("/proc", name, "stat").read_text()
        except OSError:
            continue
        found[int(name)] = int(stat.rpartition(")")[2].split()[1])
    return found


def tree_of(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    tree = [root]
    for pid in tree:
        tree.extend(children.get(pid, []))
    return tree


def memory_of(pid: int) -> Memory:
    """Nothing for a process that has ended. A sum of RSS would count what forked processes share again and again."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return Memory()
    found = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB", text, re.MULTILINE))
    return Memory(int(found.get("Rss", 0)), int(found.get("Pss", 0)))


def remove_caches(project: Path) -> None:
    for cache in [*project.rglob("__pycache__"), project / ".pytest_cache"]:
        shutil.rmtree(cache, ignore_errors=True)


def wait_for(process: subprocess.Popen[bytes]) -> int | None:
    """Its exit code; None if it did not end by itself."""
    try:
        code = process.wait(RUN_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    return code if code >= 0 else None


def run_once(runner: Runner, project: Path, sample: bool) -> tuple[Run, Memory]:
    """Runs the suite once; the second value is the peak of its processes, nothing unless asked for."""
    with tempfile.TemporaryFile() as output:
        started = time.monotonic()
        process = subprocess.Popen(
            runner.command,
            cwd=project,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        sampler = Sampler(process.pid) if sample else None
        exit_code = wait_for(process)
        seconds = time.monotonic() - started
        peak = sampler.finish() if sampler else Memory()
        output.seek(0)
        text = output.read().decode(errors="replace")
    return Run(seconds, exit_code, counts_in(text), text[-2000:]), peak


def measure(bench: Bench, workload: Workload, project: Path) -> dict[str, Result]:
    results = {runner.name: Result() for runner in bench.runners}
    if not bench.cold:
        run_once(bench.runners[0], project, sample=False)  # writes the bytecode caches, which all of them share
    for number in range(bench.rounds):
        turn = number % len(bench.runners)
        for runner in bench.runners[turn:] + bench.runners[:turn]:
            if bench.cold:
                remove_caches(project)
            run, _ = run_once(runner, project, sample=False)
            results[runner.name].runs.append(run)
            progress(f"{workload.name}: round {number + 1}, {runner.name}: {run.seconds:.2f} s")
    if bench.memory:
        for runner in bench.runners:
            _, results[runner.name].peak = run_once(runner, project, sample=True)
            progress(f"{workload.name}: memory, {runner.name}")
    return results


def progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")


def complaints(runs: list[Run], reference: list[Run], expected: int) -> str:
    """Empty when every run is right: the generator's number of tests, and pytest's counts and exit code."""
    for run, other in zip(runs, reference, strict=True):
        if run.exit_code is None:
            return "KILLED"
        if run.tests != expected:
            return f"RAN {run.tests} OF {expected} TESTS"
        if not run.agrees_with(other):
            return f"DIFFERS: {run.counts}, exit {run.exit_code}"
    return ""


def row(name: str, result: Result, reference: Result, complaint: str) -> str:
    seconds = [run.seconds for run in result.runs]
    ratios = [mine / run.seconds for mine, run in zip(seconds, reference.runs, strict=True)]
    rss, pss = (f"{kib / 1024:.0f}" if kib else "-" for kib in (result.peak.rss, result.peak.pss))
    last = result.runs[-1]
    cells = [
        f"{name:<12}{statistics.median(seconds):9.2f}  {min(seconds):.2f}..{max(seconds):.2f}".ljust(40),
        f"{statistics.median(ratios):8.2f}  {min(ratios):.2f}..{max(ratios):.2f}".ljust(24),
        f"{rss:>9}{pss:>9}{last.tests:8}{str(last.exit_code):>6}  {complaint}",
    ]
    return "".join(cells).rstrip()


HEADING = (
    f"{'runner':<12}{'median s':>9}  min..max".ljust(40)
    + f"{'x pytest':>8}  min..max".ljust(24)
    + f"{'RSS MiB':>9}{'PSS MiB':>9}{'tests':>8}{'exit':>6}"
)


def report(workload: Workload, results: dict[str, Result], expected: int) -> bool:
    progress("")
    print(f"\n{workload.name}: {workload.about}; {expected} tests here")
    print(HEADING)
    right = True
    reference = results["pytest"]
    for name, result in results.items():
        complaint = complaints(result.runs, reference.runs, expected)
        print(row(name, result, reference, complaint), flush=True)
        if complaint:
            right = False
            print("    " + "\n    ".join(result.runs[-1].tail.splitlines()[-8:]))
    return right


def run_workload(bench: Bench, name: str, into: Path) -> tuple[bool, dict[str, Result]]:
    workload = WORKLOADS[name]
    project = into / name
    expected = generate(name, project, bench.scale)
    results = measure(bench, workload, project)
    return report(workload, results, expected), results


def describe(bench: Bench) -> str:
    probe = "import platform, pytest; print('CPython', platform.python_version() + ', pytest', pytest.__version__)"
    versions = subprocess.run([bench.python, "-c", probe], check=True, capture_output=True, text=True)
    state = "caches removed before each run" if bench.cold else "caches kept between runs"
    cores = len(os.sched_getaffinity(0))
    return f"{versions.stdout.strip()}; {cores} cores; {bench.rounds} rounds; scale {bench.scale:g}; {state}"


def write_json(path: Path, bench: Bench, results: dict[str, dict[str, Result]]) -> None:
    def plain(run: Run) -> dict[str, object]:
        return {
            "seconds": run.seconds,
            "exit_code": run.exit_code,
            "counts": run.counts,
        }

    workloads = {
        workload: {
            name: {"runs": [plain(run) for run in result.runs], "peak_kib": dataclasses.asdict(result.peak)}
            for name, result in by_runner.items()
        }
        for workload, by_runner in results.items()
    }
    document = {"setting": describe(bench), "scale": bench.scale, "workloads": workloads}
    path.write_text(json.dumps(document, indent=1) + "\n")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare tach with pytest, pytest-xdist and pytest-forked.")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)} (default all)")
    parser.add_argument("--tach", help="the tach-supervisor to measure (default: leave tach out)")
    parser.add_argument("--python", default=sys.executable, help="the interpreter with pytest (default this one)")
    parser.add_argument("--runners", help="only these, by the first word of their name, comma separated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=positive, default=1.0)
    parser.add_argument("--workers", "-n", type=int, default=2)
    parser.add_argument("--cold", action="store_true", help="remove __pycache__ and .pytest_cache before each run")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory round")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every single run there as well")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.workloads if name not in WORKLOADS]:
        parser.error(f"no workload called {unknown[0]}; there are {', '.join(WORKLOADS)}")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def chosen_runners(options: argparse.Namespace) -> list[Runner]:
    tach = str(Path(options.tach).resolve()) if options.tach else None
    runners = available_runners(options.python, tach, options.workers)
    if not options.runners:
        return runners
    wanted = {"pytest", *options.runners.split(",")}
    return [runner for runner in runners if runner.name.split()[0] in wanted]


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    if not can_import(options.python, "pytest"):
        print(f"{options.python} has no pytest: nothing to compare with")
        return SKIPPED
    runners = chosen_runners(options)
    bench = Bench(options.python, runners, options.rounds, options.scale, options.cold, not options.no_memory)
    print(describe(bench))
    results: dict[str, dict[str, Result]] = {}
    right = True
    with tempfile.TemporaryDirectory(prefix="tach-bench-") as directory:
        for name in options.workloads or WORKLOADS:
            if missing := [need for need in WORKLOADS[name].needs if not can_import(bench.python, need)]:
                print(f"\n{name}: left out, the interpreter has no {missing[0]}")
                continue
            agreed, results[name] = run_workload(bench, name, Path(directory))
            right = right and agreed
    if options.json:
        write_json(options.json, bench, results)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
