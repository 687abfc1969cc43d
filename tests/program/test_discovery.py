"""Which tests pytest collects, by its settings and the layout of a project, and which ones tach-analyzer says it does.

Each layout is collected by the pytest that runs this. A test that is called known must be collected with this id, and
whatever is collected must be known, or be covered by one that is not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from runner import ANALYZER, ROOT, Project, clean_environment

PLUGIN = ROOT / "tests" / "conformance" / "plugin"
VERSION = tuple(int(number) for number in pytest.__version__.split(".")[:2])

EVERY_TEST_TWICE = "import pytest\n@pytest.fixture(autouse=True, params=[1, 2])\ndef number(request): pass\n"
NUMBER = "import pytest\n@pytest.fixture(params=[1, 2])\ndef number(request): return 1\n"
TEST = "def test_it(): pass\n"
CLASSES = """
import unittest
class TestOne:
    def test_a(self): pass
    def check_b(self): pass
    class TestInner:
        def test_c(self): pass
class CheckTwo:
    def test_a(self): pass
    def check_b(self): pass
class ThreeSuite:
    def test_a(self): pass
class WithInit:
    def __init__(self): pass
    def test_a(self): pass
class TestWithInit:
    def __init__(self): pass
    def test_a(self): pass
class TestNot:
    __test__ = False
    def test_a(self): pass
class Anything(unittest.TestCase):
    def test_a(self): pass
    def check_b(self): pass
def test_function(): pass
def check_function(): pass
def function_spec(): pass
test_no_function = 1
"""
PARAMETERS = """
import pytest
@pytest.mark.parametrize("x", [1, "a", None])
def test_x(x): pass
@pytest.mark.parametrize("y", [True, 2.5], ids=["yes", None])
@pytest.mark.parametrize("x", [1, 2])
def test_both(x, y): pass
@pytest.mark.parametrize("x", [])
def test_none(x): pass
class TestIn:
    @pytest.mark.parametrize("x", ["ä", "b/c", "d::e", "f[g]"])
    def test_x(self, x): pass
"""
DOCTEST = '''
def doubled(n):
    """
    >>> doubled(2)
    4
    """
    return 2 * n
def plain(): "No example."
'''


@dataclass(frozen=True)
class Layout:
    """A project and how pytest is started in it."""

    files: dict[str, str]
    args: tuple[str, ...] = ()
    directory: str = "."
    links: dict[str, str] = field(default_factory=dict)
    count: int = 0  # of tests that are known: what is not known cannot be wrong
    pytest: tuple[int, int] = (7, 0)  # the oldest one that it is for
    in_order: bool = True


def files(*names: str, content: str = TEST) -> dict[str, str]:
    return dict.fromkeys(names, content)


def ini(**values: str) -> str:
    return "[pytest]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())


def toml(table: str = "tool.pytest.ini_options", **values: object) -> str:
    return f"[{table}]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


SETTINGS = files("a_ini.py", "a_dot.py", "a_toml.py", "a_tox.py", "a_cfg.py", "test_default.py")
PYTEST_INI = {"pytest.ini": ini(python_files="a_ini.py")}
DOT_PYTEST_INI = {".pytest.ini": ini(python_files="a_dot.py")}
PYPROJECT = {"pyproject.toml": toml(python_files=["a_toml.py"])}
TOX_INI = {"tox.ini": ini(python_files="a_tox.py")}
SETUP_CFG = {"setup.cfg": ini(python_files="a_cfg.py").replace("[pytest]", "[tool:pytest]")}

TREE = files(
    "test_top.py", "one/test_one.py", "one/deep/test_deep.py", "two/test_two.py", "two/check_two.py", "two_test.py"
)

LAYOUTS = {
    # --- which file has the settings
    "nothing but tests": Layout(files("test_a.py", "b_test.py", "c.py", "tests/test_d.py"), count=3),
    "pytest.ini is the first": Layout(
        {**SETTINGS, **PYTEST_INI, **DOT_PYTEST_INI, **PYPROJECT, **TOX_INI, **SETUP_CFG}, count=1
    ),
    ".pytest.ini is the second": Layout({**SETTINGS, **DOT_PYTEST_INI, **PYPROJECT, **TOX_INI, **SETUP_CFG}, count=1),
    "pyproject.toml is the third": Layout({**SETTINGS, **PYPROJECT, **TOX_INI, **SETUP_CFG}, count=1),
    "tox.ini is the fourth": Layout({**SETTINGS, **TOX_INI, **SETUP_CFG}, count=1),
    "setup.cfg is the last": Layout({**SETTINGS, **SETUP_CFG}, count=1),
    "an empty pytest.ini counts": Layout({**SETTINGS, "pytest.ini": "", **PYPROJECT}, count=1),
    "an empty .pytest.ini": Layout({**SETTINGS, ".pytest.ini": "", **PYPROJECT}, count=1),
    "a pyproject.toml of others does not": Layout(
        {**SETTINGS, "pyproject.toml": "[tool.black]\nline-length = 88\n", **TOX_INI}, count=1
    ),
    "a tox.ini of others does not": Layout({**SETTINGS, "tox.ini": "[tox]\nenvlist = py\n", **SETUP_CFG}, count=1),
    "an empty table of pyproject.toml counts": Layout(
        {**SETTINGS, "pyproject.toml": "[tool.pytest.ini_options]\n", **TOX_INI}, count=1
    ),
    "tool.pytest": Layout(
        {**SETTINGS, "pyproject.toml": toml("tool.pytest", python_files=["a_toml.py"])}, count=1, pytest=(9, 0)
    ),
    "tool.pytest for those that do not know it": Layout(
        {**SETTINGS, "pyproject.toml": toml("tool.pytest", python_files=["a_toml.py"]), **TOX_INI}, count=1
    ),
    "values on several lines": Layout(
        {**SETTINGS, "pytest.ini": "[pytest]\npython_files =\n    a_ini.py\n    # none\n    a_tox.py\n"}, count=2
    ),
    # --- where the root is
    "an ini file above": Layout({**TREE, "pytest.ini": ini(testpaths="two")}, directory="one", count=2),
    "an ini file below": Layout({**TREE, "one/pytest.ini": ini()}, args=("one",), count=2),
    "ini files below two arguments": Layout(
        {**TREE, "one/pytest.ini": ini(), "two/pytest.ini": ini()}, args=("one", "two"), count=2
    ),
    "an ini file above two arguments": Layout({**TREE, "tox.ini": ini()}, args=("one/deep", "two"), count=2),
    "a setup.py above": Layout({**TREE, "setup.py": ""}, directory="one/deep", count=1),
    "conftest.py is no sign of a root": Layout({**TREE, "conftest.py": ""}, directory="one", count=2),
    "--rootdir in addopts": Layout({**TREE, "pytest.ini": ini(addopts="--rootdir=one")}, count=5),
    "the root of a file": Layout(
        {**TREE, "one/setup.cfg": "[tool:pytest]\n"}, args=("one/deep/test_deep.py",), count=1
    ),
    # --- paths
    "testpaths": Layout({**TREE, "pytest.ini": ini(testpaths="two one/deep")}, count=2),
    "testpaths with patterns": Layout(
        {
            **files("p/z/unit/test_z.py", "p/a/unit/test_a.py", "p/a/slow/test_no.py", "q/test_q.py"),
            "pyproject.toml": toml(testpaths=["q", "p/*/unit"]),
        },
        count=3,
    ),
    "testpaths with two stars": Layout({**TREE, "pytest.ini": ini(testpaths="**/deep")}, count=1),
    "testpaths of files": Layout({**TREE, "pytest.ini": ini(testpaths="two/check_two.py t*_top.py")}, count=2),
    "testpaths that are not there": Layout({**TREE, "pytest.ini": ini(testpaths="gone")}, count=5),
    "testpaths from elsewhere": Layout({**TREE, "pytest.ini": ini(testpaths="two")}, directory="two", count=1),
    "testpaths one in another": Layout({**TREE, "pytest.ini": ini(testpaths="one/deep one")}, count=1),
    "arguments in their order": Layout(TREE, args=("two", "one/test_one.py"), count=2),
    "arguments one in another": Layout(TREE, args=("one/deep", "one"), count=1),
    "the same argument twice": Layout(TREE, args=("one/test_one.py", "one/test_one.py"), count=1),
    "a file that is not called like one of tests": Layout(TREE, args=("two/check_two.py",), count=1),
    "an argument with dots": Layout(TREE, args=("./one/../two",), count=1),
    "an argument above": Layout({**TREE, "pytest.ini": ini()}, args=("../two",), directory="one", count=1),
    "node ids": Layout(
        {"test_a.py": CLASSES + PARAMETERS, "test_b.py": TEST},
        args=("test_a.py::TestOne", "test_a.py::test_x", "test_b.py"),
        count=6,
    ),
    "a node id with a parameter": Layout({"test_a.py": PARAMETERS}, args=("test_a.py::test_x[a]",), count=1),
    "a method": Layout({"test_a.py": CLASSES}, args=("test_a.py::TestOne::TestInner::test_c",), count=1),
    "node ids in another order": Layout(
        {"test_a.py": CLASSES}, args=("test_a.py::test_function", "test_a.py::TestOne::test_a"), count=2
    ),
    # --- names
    "python_files": Layout({**TREE, "pytest.ini": ini(python_files="check_* *_one.py")}, count=2),
    "python_files with directories": Layout({**TREE, "pytest.ini": ini(python_files="two/*.py")}, count=2),
    "python_files of everything": Layout(
        {
            **files(
                "package/__init__.py", "package/a.py", "package/conftest.py", "b.py", "setup.py", "package/__main__.py"
            ),
            "pytest.ini": ini(python_files="*.py"),
        },
        count=6,
    ),
    "python_classes": Layout({"test_a.py": CLASSES, "pytest.ini": ini(python_classes="Check *Suite With")}, count=4),
    "python_functions": Layout({"test_a.py": CLASSES, "pytest.ini": ini(python_functions="check *_spec")}, count=4),
    "names without settings": Layout({"test_a.py": CLASSES}, count=4),
    "parameters": Layout({"test_a.py": PARAMETERS}, count=11),
    "names with other letters": Layout(
        {
            "tests/test_ä.py": "def test_ö(): pass\n",
            "a b/test_c d.py": TEST,
            "x[1]/test_y.py": TEST,
            "test_a.b.py": TEST,
            "test_up.PY": TEST,
        },
        count=3,
    ),
    "a directory that is called like a file": Layout(files("test_a.py/test_b.py", "c.py/test_d.py"), count=2),
    # --- what is not looked into
    "directories that are left out": Layout(
        files(
            "build/test_a.py",
            "dist/test_a.py",
            ".hidden/test_a.py",
            "node_modules/test_a.py",
            "a.egg/test_a.py",
            "venv/test_a.py",
            "__pycache__/test_a.py",
            "kept/test_a.py",
            "_darcs/test_a.py",
            "kept/.hidden/test_b.py",
            "builds/test_c.py",
        ),
        count=2,
    ),
    "directories that are left out but named": Layout(
        files("build/test_a.py", "build/dist/test_b.py"), args=("build",), count=1
    ),
    "an environment": Layout(
        {
            **files("env/test_a.py", "kept/test_b.py"),
            "env/pyvenv.cfg": "",
            "env/bin/activate": "",
            "env/bin/python": "",
        },
        count=1,
    ),
    "norecursedirs": Layout(
        {**files("build/test_a.py", "one/test_b.py", "two/test_c.py"), "pytest.ini": ini(norecursedirs="on* x/two")},
        count=2,
    ),
    "norecursedirs with a slash": Layout(
        {**files("a/b/test_a.py", "c/b/test_b.py"), "pytest.ini": ini(norecursedirs="a/b")}, count=1
    ),
    "--ignore in addopts": Layout(
        {**TREE, "pytest.ini": ini(addopts="--ignore=one/deep --ignore two_test.py")}, count=3
    ),
    "--ignore from elsewhere": Layout(
        {**TREE, "pytest.ini": ini(addopts="--ignore=deep")}, directory="one", args=(".", "../two"), count=2
    ),
    "--ignore-glob in addopts": Layout(
        {**TREE, "pytest.ini": ini(addopts="--ignore-glob=**/deep --ignore-glob=two*")}, count=2
    ),
    "--deselect and -k do not change what is collected": Layout(
        {**TREE, "pytest.ini": ini(addopts="--deselect one/test_one.py -k 'not deep'")}, count=5
    ),
    "collect_ignore": Layout(
        {**TREE, "conftest.py": 'collect_ignore = ["one/deep", "two_test.py"]\ncollect_ignore_glob = ["*_top.py"]\n'},
        in_order=False,
    ),
    "collect_ignore below": Layout({**TREE, "one/conftest.py": 'collect_ignore = ["deep"]\n'}, in_order=False, count=3),
    "a hook that ignores": Layout(
        {
            **TREE,
            "two/conftest.py": "def pytest_ignore_collect(collection_path):\n    return True if 'two' in str(collection_path) else None\n",
        },
        in_order=False,
    ),
    # --- packages
    "src layout": Layout(
        {
            "pyproject.toml": toml(pythonpath=["src"], testpaths=["tests"]),
            "src/lib/__init__.py": "",
            "src/lib/base.py": "class TestBase:\n    def test_base(self): pass\n",
            "src/lib/test_inside.py": TEST,
            "tests/test_lib.py": "from lib.base import TestBase\nclass TestMore(TestBase):\n    def test_more(self): pass\n",
        },
        count=3,
    ),
    "packages of tests": Layout(
        {
            **files("tests/__init__.py", "tests/unit/__init__.py", content=""),
            "tests/base.py": "class Base:\n    def test_base(self): pass\n",
            "tests/unit/test_a.py": "from ..base import Base\nclass TestA(Base): pass\n",
            "tests/unit/test_b.py": "from tests.base import Base\nclass TestB(Base): pass\n",
        },
        count=2,
    ),
    "an __init__.py with tests": Layout(files("tests/__init__.py", "tests/test_a.py"), count=1),
    "an __init__.py that is named": Layout(
        files("tests/__init__.py", "tests/test_a.py"), args=("tests/__init__.py",), count=1, pytest=(8, 0)
    ),
    "the same basename in packages": Layout(
        files("a/test_x.py", "b/test_x.py", "a/__init__.py", "b/__init__.py"), count=2
    ),
    "the same basename without packages": Layout(files("a/test_x.py", "b/test_x.py"), in_order=False),
    "the same basename with importlib": Layout(
        {**files("a/test_x.py", "b/test_x.py"), "pytest.ini": ini(addopts="--import-mode=importlib")}, count=2
    ),
    "the same basename as a module": Layout(
        {**files("a/test_x.py"), "lib/test_x.py": TEST, "b/x.py": TEST}, in_order=False
    ),
    "collect_imported_tests": Layout(
        {
            "pytest.ini": ini(collect_imported_tests="false"),
            "lib.py": "def test_lib(): pass\nclass TestLib:\n    def test_in(self): pass\n",
            "test_a.py": "from lib import test_lib, TestLib\nclass TestMore(TestLib): pass\ndef test_own(): pass\n",
        },
        count=2,
        pytest=(8, 4),
    ),
    "a package below a directory that is none": Layout(
        {**files("tests/x/test_a.py", "tests/x/y/test_b.py", "tests/test_c.py"), "tests/x/__init__.py": ""}, count=3
    ),
    "order of files and directories": Layout(
        files("b/test_b.py", "a_test.py", "b_test.py", "c/test_c.py", "test_a.py"), count=5
    ),
    # --- conftest files
    "parameters from conftest files": Layout(
        {
            "conftest.py": NUMBER,
            "test_a.py": "def test_n(number): pass\n",
            "one/conftest.py": "import pytest\n@pytest.fixture\ndef number(): return 1\n",
            "one/test_b.py": "def test_n(number): pass\n",
            "one/two/conftest.py": (
                "import pytest\n@pytest.fixture(autouse=True, params=['x', 'y', 'z'])\ndef letter(request): return 1\n"
            ),
            "one/two/test_c.py": "def test_n(number): pass\ndef test_plain(): pass\n",
        },
        count=9,
    ),
    "confcutdir": Layout(
        {
            "pytest.ini": ini(addopts="--confcutdir=one"),
            "conftest.py": EVERY_TEST_TWICE,
            "one/test_a.py": TEST,
        },
        args=("one",),
        count=1,
    ),
    "noconftest": Layout(
        {
            "pytest.ini": ini(addopts="--noconftest"),
            "conftest.py": EVERY_TEST_TWICE,
            "test_a.py": TEST,
        },
        count=1,
    ),
    "a conftest.py above the root": Layout(
        {
            "conftest.py": EVERY_TEST_TWICE,
            "inner/pytest.ini": ini(),
            "inner/test_a.py": TEST,
        },
        directory="inner",
        count=1,
    ),
    "a conftest.py beside what is collected": Layout(
        {
            "pytest.ini": ini(testpaths="tests"),
            "tests/conftest.py": NUMBER,
            "tests/test_a.py": "def test_n(number): pass\n",
            "other/test_b.py": "def test_n(number): pass\n",
        },
        args=("other", "tests"),
        in_order=False,
        count=2,
    ),
    "a plugin of the project": Layout(
        {
            "pytest.ini": ini(addopts="-p plug", pythonpath="lib"),
            "lib/plug.py": NUMBER,
            "test_a.py": "def test_n(number): pass\n",
        },
        count=2,
        pytest=(8, 0),  # before, it looked for plugins before it looked into pythonpath
    ),
    "usefixtures": Layout(
        {
            "pytest.ini": ini(usefixtures="number"),
            "conftest.py": NUMBER,
            "test_a.py": TEST,
        },
        count=2,
    ),
    # --- doctests
    "doctests of modules": Layout(
        {
            "pytest.ini": ini(addopts="--doctest-modules"),
            "lib.py": DOCTEST,
            "test_a.py": TEST + DOCTEST,
            "setup.py": DOCTEST,
        },
        in_order=False,
        count=1,
    ),
    "doctests of texts": Layout(
        {"test_a.txt": ">>> 1\n1\n", "test_b.rst": ">>> 1\n1\n", "c.txt": ">>> 1\n1\n", "test_c.py": TEST},
        in_order=False,
        count=1,
    ),
    "doctest_glob": Layout(
        {
            "pytest.ini": ini(addopts="--doctest-glob=*.rst"),
            "a.rst": ">>> 1\n1\n",
            "test_a.txt": ">>> 1\n1\n",
            "test_c.py": TEST,
        },
        in_order=False,
        count=1,
    ),
    "no doctests": Layout(
        {"pytest.ini": ini(addopts="-p no:doctest"), "test_a.txt": ">>> 1\n1\n", "test_c.py": TEST}, count=1
    ),
    # --- links
    "a link to a directory": Layout(files("real/test_a.py"), links={"link": "real"}),
    "a link to a file": Layout(files("real/test_a.py"), links={"test_link.py": "real/test_a.py"}, count=2),
    "a link that is named": Layout(files("real/test_a.py"), links={"link": "real"}, args=("link",), count=1),
    "a link to nothing": Layout(files("test_a.py"), links={"test_b.py": "gone.py", "gone": "nowhere"}, count=1),
    "a working directory that is a link": Layout(
        {**files("real/test_a.py"), "pytest.ini": ini()}, links={"link": "real"}, directory="link", count=1
    ),
    # --- what is broken
    "files that cannot be read": Layout(
        {"test_a.py": TEST, "test_b.py": "def test_b(:\n", "test_c.py": "raise ValueError\ndef test_c(): pass\n"},
        in_order=False,
    ),
}


def collected(project: Project, layout: Layout) -> list[str]:
    """What pytest collects, before anything is deselected."""
    output = project / "collected.json"
    env = clean_environment(PYTHONPATH=str(PLUGIN), TACH_COLLECTED=str(output))
    words = ["--collect-only", "-q", "-p", "tach_collected", "-p", "no:cacheprovider", *layout.args]
    command = [sys.executable, "-m", "pytest", *words]
    done = subprocess.run(command, cwd=project / layout.directory, env=env, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 2, 5), f"{done.stdout}{done.stderr}"
    return [item["id"] for item in json.loads(output.read_text(encoding="utf-8"))]


def analyzed(project: Project, layout: Layout) -> list[dict[str, Any]]:
    version = ".".join(map(str, VERSION))
    command = [str(ANALYZER), "--format", "json", "--pytest", version, "-o", str(project / "analysis"), *layout.args]
    done = subprocess.run(
        command,
        cwd=project / layout.directory,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout)["tests"])


def covers(unknown: str, nodeid: str) -> bool:
    """A test that is not known stands for its parameters; a class or a file also for all that is in it.

    What lies outside of the root is called by its absolute path.
    """
    if unknown.startswith("/"):
        return unknown.endswith("/" + nodeid)
    return nodeid == unknown or nodeid.startswith((unknown + "[", unknown + "::"))


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_analysis_has_the_tests_of_pytest(name: str, project: Project) -> None:
    layout = LAYOUTS[name]
    if layout.pytest > VERSION:
        pytest.skip(f"of pytest {layout.pytest[0]}.{layout.pytest[1]}")
    for path, content in layout.files.items():
        project.write(f"top/{path}", content)
    for link, target in layout.links.items():
        os.symlink(target, project / "top" / link)
    inner = Project(project / "top")
    theirs, ours = collected(inner, layout), analyzed(inner, layout)
    known = [test["id"] for test in ours if test["known"]]
    unknown = [test["id"] for test in ours if not test["known"]]
    shown = f"pytest {theirs}\nknown {known}\nnot known {unknown}"
    assert not Counter(known) - Counter(set(theirs)), f"called known, but not collected:\n{shown}"
    rest = [one for one in theirs if one not in known]  # a file that is given twice is collected twice
    assert not [one for one in rest if not any(covers(test, one) for test in unknown)], f"not foreseen:\n{shown}"
    if layout.in_order and VERSION >= (8, 0):  # before, files were collected before directories
        assert [one for one in dict.fromkeys(theirs) if one in known] == known, shown
    assert len(known) >= layout.count, f"less is known than could be:\n{shown}"
