#!/usr/bin/env python3
"""Generators for the benchmark workloads.

Each generator writes a project (a directory with a `pytest.ini`) and returns how many tests pytest must find in it;
`compare.py` holds every runner to that number. Output depends on the arguments alone: the same name and scale give
the same bytes. `--scale` shrinks the number of tests, never the shape of one test.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Workload:
    """One named project: `write(root, scale)` creates it and returns its number of tests."""

    name: str
    write: Callable[[Path, float], int]
    needs: tuple[str, ...]
    about: str


def scaled(count: int, scale: float) -> int:
    return max(1, round(count * scale))


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def trivial_test(number: int) -> str:
    return (
        f"def test_plain_{number}():\n"
        f"    value = {number} * 3 + 1\n"
        f"    assert value == {number * 3 + 1}\n"
        f"    assert value % 3 == 1\n"
        f"    assert str(value).isdigit()\n\n\n"
    )


def write_flat(root: Path, scale: float) -> int:
    files, functions = scaled(500, scale), 20
    for number in range(files):
        put(root / f"tests/test_flat_{number:03}.py", "".join(trivial_test(n) for n in range(functions)))
    return files * functions


def mixed_file(with_parameters: bool) -> str:
    """20 tests. Three files of five carry a function parametrized five ways: 15 % of all tests."""
    plain = 12 if with_parameters else 17
    parts = [
        "import pytest\n\n\n",
        '@pytest.fixture(scope="module")\ndef table():\n    return {n: n * n for n in range(50)}\n\n\n',
        *(trivial_test(n) for n in range(plain)),
        *(f"def test_table_{n}(table):\n    assert table[{n + 3}] == {(n + 3) ** 2}\n\n\n" for n in range(2)),
        "class TestGroup:\n    def test_member(self):\n        assert sorted([3, 1, 2]) == [1, 2, 3]\n\n\n",
    ]
    if with_parameters:
        parts.append(
            '@pytest.mark.parametrize("number", [1, 2, 3, 5, 8])\n'
            "def test_square(number):\n    assert number * number == number**2\n"
        )
    return "".join(parts)


def write_mixed(root: Path, scale: float) -> int:
    files = scaled(500, scale)
    for number in range(files):
        put(root / f"tests/test_mixed_{number:03}.py", mixed_file(with_parameters=number % 5 < 3))
    return files * 20


def write_fixtures(root: Path, scale: float) -> int:
    """Every test asks for 64 fixtures of function scope."""
    fixtures, files, functions = 64, scaled(64, scale), 64
    names = [f"part_{n}" for n in range(fixtures)]
    put(
        root / "conftest.py",
        "import pytest\n\n\n"
        + "".join(f"@pytest.fixture\ndef {name}():\n    return {n}\n\n\n" for n, name in enumerate(names)),
    )
    body = f"    assert {' + '.join(names)} == {sum(range(fixtures))}\n\n\n"
    for number in range(files):
        tests = (f"def test_all_{n}({', '.join(names)}):\n{body}" for n in range(functions))
        put(root / f"tests/test_fixtures_{number:03}.py", "".join(tests))
    return files * functions


def write_chain(root: Path, scale: float) -> int:
    """Every test asks for the end of a chain of session fixtures, each of which asks for the one before."""
    depth, files, functions = 512, scaled(64, scale), 64
    links = [
        f'@pytest.fixture(scope="session")\ndef link_{n}(link_{n - 1}):\n    return link_{n - 1} + 1\n\n\n'
        for n in range(1, depth)
    ]
    put(
        root / "conftest.py",
        "import sys\n\nimport pytest\n\n"
        "# pytest resolves a chain by recursion, about ten frames a link.\n"
        "sys.setrecursionlimit(20000)\n\n\n"
        '@pytest.fixture(scope="session")\ndef link_0():\n    return 1\n\n\n' + "".join(links),
    )
    tests = "".join(
        f"def test_end_{n}(link_{depth - 1}):\n    assert link_{depth - 1} == {depth}\n\n\n" for n in range(functions)
    )
    for number in range(files):
        put(root / f"tests/test_chain_{number:03}.py", tests)
    return files * functions


def write_matrix(root: Path, scale: float) -> int:
    """One function under five stacked parametrize marks of up to seven values each."""
    total = scaled(7**5, scale)
    side = max(1, round(total**0.2))
    names = ["a", "b", "c", "d", "e"]
    marks = "".join(f'@pytest.mark.parametrize("{name}", range({side}))\n' for name in names)
    put(
        root / "tests/test_matrix.py",
        f"import pytest\n\n\n{marks}def test_cell({', '.join(names)}):\n"
        f"    assert 0 <= {' + '.join(names)} <= {5 * (side - 1)}\n",
    )
    return int(side**5)


HEAVY_TEST = """\
def test_frame_{n}():
    frame = pd.DataFrame({{"key": [i % 7 for i in range(500)], "value": [i * {n} for i in range(500)]}})
    sums = frame.groupby("key")["value"].sum()
    assert len(sums) == 7
    assert int(sums.sum()) == {total}


"""


def write_late(root: Path, scale: float) -> int:
    files = scaled(20, scale)
    for number in range(files):
        body = "    import numpy as np\n\n    assert np.arange({n}).sum() == {n} * ({n} - 1) // 2\n"
        tests = [f"def test_late_{n}():\n" + body.format(n=n + 2) for n in range(10)]
        put(root / f"tests/test_late_{number:03}.py", "\n\n".join(tests))
    return files * 10


def write_heavy(root: Path, scale: float) -> int:
    files, functions = scaled(10, scale), 20
    for number in range(files):
        first = number * functions
        tests = (HEAVY_TEST.format(n=n, total=n * sum(range(500))) for n in range(first, first + functions))
        put(root / f"tests/test_heavy_{number:03}.py", "import pandas as pd\n\n\n" + "".join(tests))
    return files * functions


SLOW_CLASS = '''\
@dataclasses.dataclass(frozen=True)
class Record{n}:
    """One record of module {module}."""

    name: str = "record-{module}-{n}"
    weight: int = {n}
    tags: tuple[str, ...] = ("a", "b", "c")

    def label(self) -> str:
        if self.weight > 10:
            return f"{{self.name}}:{{self.weight}}"
        return self.name

    def total(self, factor: int) -> int:
        result = 0
        for step in range(factor):
            if step % 2:
                result += step * self.weight
            else:
                result -= step
        return result


PATTERN_{n} = re.compile(r"record-{module}-{n}(?P<rest>[a-z]*)$")


'''
SLOW_MODULES = 91
SLOW_RECORDS = 12  # 26 lines each: 91 modules of about 320 lines, 29,000 lines in all


def slow_module(module: int) -> str:
    """Imports the two modules that a heap would call its children: the root pulls in the whole package."""
    imports = [f"from project.part_{c:02} import Record0 as Child{c}\n" for c in slow_children(module)]
    head = "import dataclasses\nimport re\n" + ("\n" + "".join(imports) if imports else "") + "\n\n"
    records = "".join(SLOW_CLASS.format(module=module, n=n) for n in range(SLOW_RECORDS))
    children = ", ".join(f"Child{c}" for c in slow_children(module))
    return f"{head}{records}CHILDREN: list[type] = [{children}]\n"


def slow_children(module: int) -> list[int]:
    return [c for c in (2 * module + 1, 2 * module + 2) if c < SLOW_MODULES]


def write_slowimport(root: Path, scale: float) -> int:
    """The package stays whole at any scale, or its import would not be slow; only test files are left out."""
    put(root / "project/__init__.py", "")
    for module in range(SLOW_MODULES):
        put(root / f"project/part_{module:02}.py", slow_module(module))
    files = scaled(SLOW_MODULES, scale)
    for module in range(files):
        put(
            root / f"tests/test_part_{module:02}.py",
            f"from project.part_{module:02} import CHILDREN, PATTERN_1, Record1\n\n\n"
            f"def test_children():\n    assert len(CHILDREN) == {len(slow_children(module))}\n\n\n"
            f"def test_record():\n    assert PATTERN_1.match(Record1().label())\n"
            f"    assert Record1().total(4) == {-2 + 4}\n",
        )
    return files * 2


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("flat10k", write_flat, (), "500 files x 20 functions, no imports, no fixtures"),
        Workload("mixed10k", write_mixed, (), "70 % plain, 15 % parametrized, 10 % module fixture, 5 % class"),
        Workload("fixtures", write_fixtures, (), "64 function fixtures x 4,096 tests"),
        Workload("chain", write_chain, (), "a chain of 512 session fixtures x 4,096 tests"),
        Workload("matrix", write_matrix, (), "five stacked parametrize marks, 7^5 cases"),
        Workload("heavy", write_heavy, ("pandas",), "200 tests that each group a pandas DataFrame"),
        Workload("late", write_late, ("numpy",), "200 tests that import numpy in their bodies"),
        Workload("slowimport", write_slowimport, (), "91 modules, 29,000 lines, imported by 182 tests"),
    )
}


def generate(name: str, root: Path, scale: float) -> int:
    """Writes workload `name` into `root`, which must be empty or absent, and returns its number of tests."""
    if root.exists() and any(root.iterdir()):
        raise FileExistsError(f"{root} is not empty")
    put(root / "pytest.ini", "[pytest]\ntestpaths = tests\npythonpath = .\n")
    return WORKLOADS[name].write(root, scale)


def positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not greater than 0")
    return value


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Write one benchmark project.")
    parser.add_argument("name", choices=sorted(WORKLOADS))
    parser.add_argument("directory", type=Path)
    parser.add_argument("--scale", type=positive, default=1.0, help="share of the full size (default 1)")
    options = parser.parse_args(arguments)
    try:
        tests = generate(options.name, options.directory, options.scale)
    except FileExistsError as error:
        parser.error(str(error))
    print(f"{options.directory}: {tests} tests")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
