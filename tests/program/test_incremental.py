"""tach-analyzer after a change: what it keeps of the last time never shows. Projects that change at random, by a seed."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from runner import Project

STEPS = int(os.environ.get("TACH_TEST_STEPS", "40"))

TESTS = ("tests/test_a.py", "tests/test_b.py", "tests/sub/test_c.py", "tests/sub/test_d.py", "tests/sub/test_a.py")
LIBRARIES = ("src/lib.py", "src/pkg/__init__.py", "src/pkg/one.py", "src/pkg/two.py", "tests/helpers.py")
CONFTESTS = ("conftest.py", "tests/conftest.py", "tests/sub/conftest.py")
EVERY = TESTS + LIBRARIES + CONFTESTS

IMPORTS = (
    "import lib",
    "from lib import thing, run as go",
    "from pkg import one",
    "from pkg.two import *",
    "import pkg.one as po",
    "from helpers import make, Base",
    "import helpers",
    "import test_b",
    "from test_b import Base as Other",
    "from .two import thing",
    "from ..lost import thing",
    "import threading, socket",
    "from subprocess import Popen",
    "import json",
)
CALLS = (
    "go()",
    "lib.run()",
    "threading.Thread()",
    "socket.socket()",
    "helpers.make()",
    "po.start()",
    "Popen('x')",
    "test_c.start()",
    "self.helper()",
    "one.run()",
    "make().start()",
    "print(1)",
)
REQUESTS = (
    "",
    "one_fixture",
    "wide",
    "tmp_path",
    "mocker",
    "other_unknown",
    "one_fixture, wide",
    "wide, mocker",
    "many, tmp_path",
    "own",
)
MARKS = (
    "pytest.mark.slow",
    "pytest.mark.skip(reason='x')",
    "pytest.mark.usefixtures('wide')",
    "pytest.mark.parametrize('p', [1, 2, 'a'])",
    "pytest.mark.parametrize('p', list(lib.thing()))",
    "pytest.mark.parametrize('p', iter([1, 2]))",
    "unknown_decorator",
)
BASES = ("", "", "(Base)", "(Other)", "(helpers.Base)", "(unittest.TestCase)", "(one.Base)")
PARTS = 4
KEPT = "nothing else was looked at"


TEST_B = """
import pytest

@pytest.fixture
def own(tmp_path): pass

@pytest.mark.parametrize("x", [1, 2])
def test_one(own, x): pass

def setup_module(): pass

class TestIt:
    def test_two(self, mocker): pass
"""


class Author:
    """Writes pieces of Python that refer to one another's names, most of which exist."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        # Where all is odd, nothing can be kept.
        self.oddity = (0.0, 0.05, 0.3)[seed % 3]

    def some(self, choices: tuple[str, ...], most: int) -> list[str]:
        return [self.random.choice(choices) for _ in range(self.random.randint(0, most))]

    def body(self, depth: int) -> str:
        pad = "    " * depth
        lines = self.some(("value = 1", "assert value", "# a remark", "import lib", *CALLS), 3)
        return "".join(f"{pad}{line}\n" for line in lines) + f"{pad}pass\n"

    def fixture(self) -> str:
        options = self.random.choice(("", "(scope='module')", "(scope='session', params=[1, 2])", "(autouse=True)"))
        name = self.random.choice(("one_fixture", "wide", "many", "own"))
        asked = self.random.choice(("", "tmp_path", "wide", "mocker", "request"))
        return f"@pytest.fixture{options}\ndef {name}({asked}):\n{self.body(1)}\n"

    def test(self, depth: int = 0) -> str:
        pad = "    " * depth
        marks = self.some(MARKS, 1) if self.random.random() < 0.4 else []
        asked = [self.random.choice(REQUESTS)] + (["p"] if any("'p'" in mark for mark in marks) else [])
        names = ", ".join((["self"] if depth else []) + [name for name in asked if name])
        name = f"test_{self.random.randint(0, 9)}"
        return "".join(f"{pad}@{mark}\n" for mark in marks) + f"{pad}def {name}({names}):\n{self.body(depth + 1)}\n"

    def cls(self) -> str:
        members = "".join(self.random.choice((self.test, self.helper))(1) for _ in range(self.random.randint(1, 3)))
        name = self.random.choice(("TestOne", "TestTwo", "Base", "Case"))
        return f"class {name}{self.random.choice(BASES)}:\n{members}\n"

    def helper(self, depth: int = 0) -> str:
        pad = "    " * depth
        name = self.random.choice(("run", "make", "start", "helper", "thing", "setup_class", "setup_module"))
        return f"{pad}def {name}({'self' if depth else ''}):\n{self.body(depth + 1)}\n"

    def statement(self) -> str:
        return self.random.choice((
            *(f"{call}\n" for call in CALLS), "pytestmark = pytest.mark.slow\n", "pytest_plugins = ['helpers']\n",
            "__test__ = False\n", "thing = lib.thing\n", "if lib:\n    import pkg.two\n", "def broken(:\n",
            "def pytest_collection_modifyitems(): pass\n", "collect_ignore = ['test_d.py']\n",
            "import importlib\nimportlib.import_module(lib.name)\n",
        ))  # fmt: skip

    def part(self, path: str) -> str:
        is_test, is_conftest = "test_" in path, "conftest" in path
        kinds: list[Callable[[], str]] = (
            [self.test, self.test, self.test, self.cls] if is_test else [self.helper, self.cls]
        )
        kinds += [self.fixture] * (3 if is_conftest else 1)
        kinds += [self.statement] if self.random.random() < self.oddity else []
        return self.random.choice(kinds)()

    def file(self, path: str) -> list[str]:
        head = ["import pytest\n", *(f"{line}\n" for line in self.some(IMPORTS, 3))]
        return head + [self.part(path) for _ in range(self.random.randint(1, PARTS))]

    def edit(self, path: str, parts: list[str]) -> None:
        at = self.random.randrange(len(parts) + 1)
        kind = self.random.random()
        if kind < 0.3:
            parts.insert(at, self.part(path))
        elif kind < 0.5 and len(parts) > 1:
            parts.pop(min(at, len(parts) - 1))
        elif kind < 0.6:
            parts.insert(0, f"{self.random.choice(IMPORTS)}\n")
        elif kind < 0.7:
            parts.append(f"# {self.random.random()}\n")
        elif kind < 0.85:
            parts.insert(0, "# one line further down\n")
        else:
            parts[min(at, len(parts) - 1)] = self.part(path)


@pytest.fixture
def suite(project: Project) -> Project:
    project.write("pytest.ini", "[pytest]\npythonpath = src\n")
    project.write(
        "src/lib.py",
        "import threading\ndef run(): threading.Thread().start()\nclass Base:\n    def test_base(self): pass\n",
    )
    project.write("tests/conftest.py", "import pytest\n@pytest.fixture(scope='session')\ndef wide(mocker): pass\n")
    project.write("tests/test_a.py", "def test_a(wide, tmp_path): pass\ndef test_m(mocker): pass\n")
    project.write("tests/test_b.py", TEST_B)
    project.write("tests/test_c.py", "from lib import run\ndef test_c(): run()\ndef test_d(wide): pass\n")
    project.write("tests/test_d.py", "import pytest\nimport test_c\n@pytest.mark.slow\ndef test_d(mocker): pass\n")
    return project


def analyzed(project: Project) -> str:
    time.sleep(0.012)  # a file system's clock goes in steps: what was just written is looked at again in any case
    return project.analyze("-v").expect(0).err


def cold(project: Project, elsewhere: Path) -> bytes:
    for path in (elsewhere, elsewhere.with_name("analysis.cache")):
        path.unlink(missing_ok=True)
    project.analyze("-o", str(elsewhere)).expect(0)
    return elsewhere.read_bytes()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# at the end", "# at the end\n# another"),
        ("def test_one", "# further down\ndef test_one"),
        ("[1, 2]", "[1, 2, 3, 4]"),
        ("class TestIt", "def test_more(wide): pass\nclass TestIt"),
        ("def test_two(self, mocker)", "def test_two(self, wide, tmp_path)"),
        ("(own, x): pass", "(own, x): import socket; socket.socket()"),
        ("import pytest", "import pytest\nfrom lib import *"),
        ("class TestIt:", "from lib import Base, run\nrun()\nclass TestIt(Base):"),
        ("(own, x): pass", "(own, x, unknown_to_all): pass"),
        ("def own(tmp_path): pass", "def own(wide): import threading; threading.Thread()"),
        ("    def test_two", "    @pytest.mark.skip\n    def test_two"),
        ("def setup_module(): pass", "def setup_module(): open_all()"),
    ],
)  # fmt: skip
def test_a_test_file_is_changed_by_itself(
    suite: Project, tmp_path_factory: pytest.TempPathFactory, old: str, new: str
) -> None:
    elsewhere = tmp_path_factory.mktemp("cold") / "analysis"
    suite.write("tests/test_b.py", TEST_B + "# at the end\n")
    assert KEPT not in analyzed(suite)
    before = (suite / ".tach" / "analysis").read_bytes()
    for text in (TEST_B.replace(old, new) + "# at the end\n".replace(old, new), TEST_B + "# at the end\n"):
        suite.write("tests/test_b.py", text)
        assert (KEPT in analyzed(suite)) is ("unknown_to_all" not in new)
        assert (suite / ".tach" / "analysis").read_bytes() == cold(suite, elsewhere)
    assert (suite / ".tach" / "analysis").read_bytes() == before


@pytest.mark.parametrize("name", ["src/lib.py", "tests/conftest.py", "tests/test_c.py"])
def test_what_others_depend_on_is_not(suite: Project, tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    analyzed(suite)
    suite.write(name, "# further down\n" + (suite / name).read_text())
    assert KEPT not in analyzed(suite)
    assert (suite / ".tach" / "analysis").read_bytes() == cold(suite, tmp_path_factory.mktemp("cold") / "analysis")


@pytest.mark.parametrize("seed", range(6))
def test_what_is_kept_is_what_would_be_made(
    project: Project, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("cold") / "analysis"
    author = Author(seed)
    files = {path: author.file(path) for path in EVERY if author.random.random() < 0.8}
    project.write("pytest.ini", "[pytest]\npythonpath = src\n")
    for path, parts in files.items():
        project.write(path, "".join(parts))
    done = ["at first"]
    for _ in range(STEPS):
        time.sleep(0.012)  # a file system's clock goes in steps: what was just written is looked at again in any case
        project.analyze().expect(0)
        kept = (project / ".tach" / "analysis").read_bytes()
        assert kept == cold(project, elsewhere), f"seed {seed}, changed: {done}"
        done = []
        for _ in range(author.random.choice((1, 1, 1, 1, 2))):
            # Tests change more often than what they use.
            path = author.random.choice(TESTS * 3 + EVERY)
            if path in files and author.random.random() < 0.04:
                del files[path]
                (project / path).unlink()
                done.append(f"{path} is gone")
                continue
            if path not in files:
                files[path] = author.file(path)
            else:
                author.edit(path, files[path])
            project.write(path, "".join(files[path]))
            done.append(path)
