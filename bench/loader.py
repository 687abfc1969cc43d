#!/usr/bin/env python3
"""Times of tach-compiler and of tach's loader beside what the interpreter has, all in the same run.

    loader.py --build build [--python EXE] [--rounds N]

* cold: `tach-compiler -j2` beside `python -m compileall -q -f -j2` of the same files, for the 500 largest modules of the
  standard library and for the workload `slowimport`;
* warm: the time to import them, by importlib with warm .pyc files and from a bytecode image, beside the floor: unmarshalling
  and running the bodies, which no loader can save;
* the first test: from the start of the command to the first line of the first test, pytest and tach, cold (no image, no
  compiled files of the project) and warm. Needs pytest in the interpreter.

Rounds alternate between the programs, so that noise of the machine meets all of them; medians and the best are printed.
Ratios are of the best, since a process can only be slowed down by others.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import workloads

HERE = Path(__file__).resolve().parent
KEYS = HERE.parent / "harness/tach_harness/bytecode.py"
LARGEST = 500
FIRST_TEST = """
import os, time
from project.part_00 import CHILDREN

def test_first():
    with open(os.environ["BENCH_FIRST"], "w") as file:
        file.write(repr(time.time()))
"""


class Bench:
    def __init__(self, build: Path, python: Path, rounds: int, scratch: Path) -> None:
        self.compiler = build / "compiler/tach-compiler"
        self.supervisor = build / "supervisor/tach-supervisor"
        self.native = build / "zygote/_tach.abi3.so"
        self.python = python
        self.rounds = rounds
        self.scratch = scratch
        self.version = self.output([str(self.compiler), "--version"]).split()[-1]

    def environment(self) -> dict[str, str]:
        """Nothing that changes how the interpreter compiles and caches."""
        return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}

    def output(self, command: list[str], cwd: Path | None = None, more: dict[str, str] | None = None) -> str:
        environment = self.environment() | (more or {})
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def measure(self, subjects: dict[str, Callable[[], float]]) -> dict[str, float]:
        """Print median and best of each, in milliseconds; return the best."""
        samples: dict[str, list[float]] = {name: [] for name in subjects}
        for _ in range(self.rounds):
            for name, subject in subjects.items():
                samples[name].append(subject() * 1000)
        for name, values in samples.items():
            print(f"    {name:34} {statistics.median(values):9.1f} ms (best {min(values):.1f})", flush=True)
        return {name: min(values) for name, values in samples.items()}

    # --- importing ------------------------------------------------------------------------------------------------

    def import_time(self, mode: str, names: Path, *words: str, path: Path | None = None) -> float:
        more = {"PYTHONPATH": str(path)} if path else {}
        command = [str(self.python), str(HERE / "import_time.py"), mode, str(names), *words]
        return float(json.loads(self.output(command, more=more)) or 0)

    def imports(self, title: str, names: list[str], path: Path | None) -> None:
        print(f"{title}: {len(names)} modules, python {self.python}")
        listed, imports, image = (self.scratch / f"{title}.{end}" for end in ("names", "imports", "bytecode"))
        listed.write_text(json.dumps(names))
        self.import_time("list", listed, str(imports), path=path)
        fields = imports.read_bytes().split(b"\n", 1)[1].split(b"\0")
        copy = self.scratch / f"{title}.copy"
        for number, source in enumerate(fields[1::3]):
            file = copy / f"{number % 2}/module_{number}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, file)

        def compile_cold() -> float:
            image.unlink(missing_ok=True)
            return self.timed(
                [str(self.compiler), "--imports", str(imports), "-o", str(image), "-j2", f"--python={self.python}"]
            )

        best = self.measure(
            {
                "compileall -j2": lambda: self.timed(
                    [str(self.python), "-m", "compileall", "-q", "-f", "-j2", str(copy)]
                ),
                "tach-compiler -j2": compile_cold,
            }
        )
        self.ratio("cold", best["tach-compiler -j2"], best["compileall -j2"], "compileall", 1.0)
        tach = ("tach", listed, str(self.native), str(KEYS), str(image), self.version)
        best = self.measure(
            {
                "importlib, warm": lambda: self.import_time("importlib", listed, path=path),
                "floor: unmarshal and bodies": lambda: self.import_time("floor", listed, str(imports), path=path),
                "tach's loader, warm": lambda: self.import_time(*tach, path=path),
            }
        )
        self.ratio("warm", best["tach's loader, warm"], best["importlib, warm"], "importlib", 0.7)
        self.ratio("warm", best["tach's loader, warm"], best["floor: unmarshal and bodies"], "floor", 1.1)

    def timed(self, command: list[str]) -> float:
        started = time.perf_counter()
        self.output(command)
        return time.perf_counter() - started

    def ratio(self, what: str, ours: float, theirs: float, whose: str, goal: float) -> None:
        print(f"    {what}: {ours / theirs:.2f} of {whose} (goal {goal})", flush=True)

    # --- the first test -------------------------------------------------------------------------------------------

    def first_test(self) -> None:
        print("first test of slowimport: from the command to the test's first line")
        root = self.scratch / "first"
        workloads.generate("slowimport", root, 1)
        (root / "tests/test_0_first.py").write_text(FIRST_TEST)
        tach = [str(self.supervisor), "--python", str(self.python), "-q"]
        pytest = [str(self.python), "-m", "pytest", "-q"]

        def forget() -> None:
            shutil.rmtree(root / ".tach", ignore_errors=True)
            for cache in list(root.rglob("__pycache__")):
                shutil.rmtree(cache)

        def first(command: list[str], cold: bool) -> float:
            if cold:
                forget()
            mark = self.scratch / "when"
            started = time.time()
            self.output(command, root, {"BENCH_FIRST": str(mark)})
            return float(mark.read_text()) - started

        subjects = {"pytest": pytest, "tach": tach}
        best = self.measure({f"{name}, cold": partial(first, command, True) for name, command in subjects.items()})
        self.ratio("cold", best["tach, cold"], best["pytest, cold"], "pytest", 1.0)
        forget()
        for command in subjects.values():
            first(command, False)
        cache = root / ".tach/cache"
        for imports in cache.glob("*.imports"):
            image = str(imports.with_suffix(".bytecode"))
            analysis = str(root / ".tach/analysis")
            command = [str(self.compiler), "--imports", str(imports), "--analysis", analysis, "--root", str(root)]
            self.output([*command, "-o", image, f"--python={self.python}"])
        subjects["tach --no-loader"] = [*tach, "--no-loader"]
        best = self.measure({f"{name}, warm": partial(first, command, False) for name, command in subjects.items()})
        self.ratio("warm", best["tach, warm"], best["pytest, warm"], "pytest", 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=Path("build"), help="build directory (default build)")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="interpreter that is measured")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--modules", type=int, default=LARGEST, help=f"of the standard library (default {LARGEST})")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tach-bench-") as scratch:
        bench = Bench(options.build.resolve(), options.python.absolute(), options.rounds, Path(scratch))
        script = str(HERE / "import_time.py")
        names = json.loads(bench.output([str(bench.python), script, "choose", "", str(options.modules)]))
        bench.imports("stdlib", names, None)
        root = Path(scratch) / "slowimport"
        workloads.generate("slowimport", root, 1)
        parts = [f"project.part_{module:02}" for module in range(workloads.SLOW_MODULES)]
        bench.imports("slowimport", parts, root)
        if subprocess.run([str(bench.python), "-c", "import pytest"], capture_output=True).returncode == 0:
            bench.first_test()


if __name__ == "__main__":
    main()
