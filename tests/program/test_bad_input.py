"""Bad input: what pytest gives, text and exit code, or one clear line of tach's own; never a hang."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from people import STRANGER, as_stranger, stranger_python
from runner import SUPERVISOR, Project, Result, Run, clean_environment, temporary_mode

IS_ROOT = os.geteuid() == 0


def python_too_old() -> str | None:
    """An interpreter before 3.10, from PATH or pyenv."""
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for minor in (9, 8, 7):
        candidates = [
            shutil.which(f"python3.{minor}"),
            *map(str, home.glob(f"versions/3.{minor}.*/bin/python3")),
        ]
        for candidate in candidates:
            # A shim of pyenv's is there, but is no interpreter.
            if candidate and subprocess.run([candidate, "-c", ""], capture_output=True).returncode == 0:
                return candidate
    return None


def errors_of(result: Result) -> list[str]:
    """What pytest said on stderr, without the name of its program and the call stack down to it."""
    return [
        line for line in result.err.splitlines() if not line.startswith((" ", "ERROR: usage:", "Traceback", "__main__"))
    ]


def same_as_pytest(project: Project, *words: str) -> Result:
    """Assert pytest's exit code and counts, and that its lines of errors are there."""
    theirs = project.pytest(*words)
    ours = project.tach(*words).expect(theirs.code)
    told = [line for line in theirs.lines if line.startswith(("E  ", "ERROR ", "INTERNALERROR"))]
    for line in told:
        assert line in ours.lines, f"{line!r} is missing: {ours}"
    assert [line for line in errors_of(theirs) if line not in ours.err] == []
    return ours


def one_line(result: Result, code: int, *words: str) -> None:
    assert result.code == code, result
    assert result.out == "", result
    assert len(result.err.splitlines()) == 1, result
    assert result.err.startswith("tach: "), result
    for word in words:
        assert word in result.err


SUITES = {
    "syntax error": {"test_it.py": "def test_a(:\n", "test_good.py": "def test_b(): pass\n"},
    "syntax error in conftest": {"conftest.py": "def broken(:\n", "test_it.py": "def test_a(): pass\n"},
    "error in conftest": {
        "conftest.py": "raise LookupError('in conftest')\n",
        "test_it.py": "def test_a(): pass\n",
    },
    "error in a conftest below": {
        "below/conftest.py": "import nothing_like_it\n",
        "below/test_it.py": "def test_a(): pass\n",
    },
    "import error": {"test_it.py": "import nothing_like_it\n", "test_good.py": "def test_b(): pass\n"},
    "error at import": {"test_it.py": "1 / 0\n"},
    "missing fixture": {"test_it.py": "def test_a(nothing_like_it): pass\ndef test_b(): pass\n"},
    "fixture cycle": {
        "test_it.py": "import pytest\n@pytest.fixture\ndef a(b): pass\n@pytest.fixture\ndef b(a): pass\ndef test_a(a): pass\n"
    },
    "scope mismatch": {
        "test_it.py": "import pytest\n@pytest.fixture\ndef a(): pass\n@pytest.fixture(scope='module')\ndef b(a): pass\ndef test_a(b): pass\n"
    },
    "duplicate names": {"a/test_it.py": "def test_a(): pass\n", "b/test_it.py": "def test_b(): pass\n"},
    "duplicate parameter": {
        "test_it.py": "import pytest\n@pytest.mark.parametrize('a', [1])\n@pytest.mark.parametrize('a', [2])\ndef test_a(a): pass\n"
    },
    "unknown parameter": {"test_it.py": "import pytest\n@pytest.mark.parametrize('b', [1])\ndef test_a(): pass\n"},
    "unknown plugin": {
        "conftest.py": "pytest_plugins = ['nothing_like_it']\n",
        "test_it.py": "def test_a(): pass\n",
    },
    "unknown hook": {
        "conftest.py": "def pytest_nothing_like_it(): pass\n",
        "test_it.py": "def test_a(): pass\n",
    },
    "bad ini file": {"pytest.ini": "[pytest\naddopts = -q\n", "test_it.py": "def test_a(): pass\n"},
    "bad ini value": {"pytest.ini": "[pytest]\nminversion = 99.0\n", "test_it.py": "def test_a(): pass\n"},
    "bad addopts": {
        "pytest.ini": "[pytest]\naddopts = --nothing-like-it\n",
        "test_it.py": "def test_a(): pass\n",
    },
    "bad encoding": {"test_it.py": "# coding: nothing-like-it\ndef test_a(): pass\n"},
    "sys.exit at import": {"test_it.py": "import sys\nsys.exit(3)\n"},
    "pytest.exit at import": {"test_it.py": "import pytest\npytest.exit('not here', returncode=9)\n"},
    "skip at import": {"test_it.py": "import pytest\npytest.skip('not here', allow_module_level=True)\n"},
    "no tests": {"readme.txt": ""},
}


@pytest.mark.parametrize("name", SUITES)
def test_what_pytest_gives(project: Project, name: str) -> None:
    for file, content in SUITES[name].items():
        project.write(file, content)
    same_as_pytest(project, "--color=no")


@pytest.mark.parametrize(
    "words",
    [
        ["missing.py"],
        ["missing/"],
        ["test_it.py::missing"],
        ["test_it.py", "missing.py"],
        ["-k", "not ("],
        ["-m", "not ("],
        ["--maxfail", "many"],
        ["-c", "missing.ini"],
        ["--rootdir", "missing"],
        ["-p", "nothing_like_it"],
        ["-W", "nothing::like::it"],
        ["-o", "nothing"],
        ["--strict-markers", "-k", "nothing"],
    ],
    ids=" ".join,
)
def test_wrong_words(project: Project, words: list[str]) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    theirs = project.pytest(*words)
    assert theirs.code != 0
    result = project.tach(*words).expect(theirs.code)
    assert [line for line in errors_of(theirs) if line not in result.err] == []


def test_an_interpreter_without_pytest(project: Project) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project / "bare"], check=True)
    project.write("test_it.py", "def test_a(): pass\n")
    bare = Project(project.path, str(project / "bare" / "bin" / "python"))
    one_line(bare.tach(), 4, "pytest", bare.python)


def test_an_interpreter_that_does_not_exist(project: Project) -> None:
    one_line(Project(project.path, "/nonexistent/python").tach(), 4, "/nonexistent/python")


@pytest.mark.parametrize("content", ["#!/bin/sh\nexit 0\n", "#!/bin/sh\necho hello; exit 3\n", "not a program\n"])
def test_something_that_is_not_python(project: Project, content: str) -> None:
    fake = project.write("fake", content)
    fake.chmod(0o755)
    result = Project(project.path, str(fake)).tach()
    assert result.code in (3, 4), result
    assert str(fake) in result.err
    assert "tach: " in result.err


def test_an_interpreter_that_is_too_old(project: Project) -> None:
    old = python_too_old()
    if old is None:
        pytest.skip("there is no CPython before 3.10")
    project.write("test_it.py", "def test_a(): pass\n")
    one_line(Project(project.path, old).tach(), 4, "3.10")


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("where", ["conftest.py", "test_it.py"])
def test_a_collection_that_leaves_is_no_success(project: Project, where: str, code: int) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    file = project / where
    before = file.read_text() if file.exists() else ""
    file.write_text(f"import os\nos._exit({code})\n" + before)
    result = project.tach()
    assert result.code == 3, result
    assert "tach: " in result.err


def test_all_deselected(project: Project) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    project.tach("-k", "nothing").expect(5, deselected=1)


@pytest.fixture
def stranger_project() -> Iterator[Project]:
    """A project of an ordinary user's."""
    if IS_ROOT and stranger_python() is None:
        pytest.skip("no interpreter with pytest that an ordinary user can execute")
    path = Path(tempfile.mkdtemp(prefix="tach-program-"))
    if IS_ROOT:
        os.chown(path, STRANGER, STRANGER)
    path.chmod(0o755)
    yield Project(path, stranger_python() or sys.executable)
    shutil.rmtree(path)


def test_an_unwritable_project(stranger_project: Project) -> None:
    project = stranger_project
    project.write("test_it.py", "def test_a(): pass\ndef test_b(): assert False\n")
    with temporary_mode(project.path, 0o555):
        result = project.tach(**as_stranger(TMPDIR="/tmp"))
    assert result.code == 1, result
    counts = {kind: n for kind, n in result.counts.items() if kind != "warning"}
    assert counts == {"passed": 1, "failed": 1}
    assert not (project / ".pytest_cache").exists()


def test_an_unwritable_cache(stranger_project: Project) -> None:
    project = stranger_project
    project.write("test_it.py", "def test_a(): pass\ndef test_b(): assert False\n")
    (project / ".pytest_cache").mkdir()
    with temporary_mode(project / ".pytest_cache", 0o555):
        result = project.tach(**as_stranger(TMPDIR="/tmp"))
    assert result.code == 1, result
    assert "could not create cache path" in result.out


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system without room for more than its files."""
    directory = tmp_path / "small"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)]
    if not IS_ROOT or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("cannot mount a small file system")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


def test_a_full_disk(full_disk: Path) -> None:
    project = Project(full_disk)
    project.write("test_it.py", "def test_a(): print('x' * 100000)\ndef test_b(): assert False\n")
    with open(full_disk / "filling", "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)
    theirs = project.pytest("-p", "no:cacheprovider")
    result = project.tach("-p", "no:cacheprovider").expect(theirs.code)
    assert result.counts == theirs.counts == {"passed": 1, "failed": 1}
    result = project.tach()
    assert result.code == 1, result
    assert result.counts["failed"] == 1


def test_a_temporary_directory_that_is_full(project: Project, full_disk: Path) -> None:
    project.write("test_it.py", "def test_a(): print('x' * 1000000)\ndef test_b(): pass\n")
    with open(full_disk / "filling", "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)
    result = project.tach(env={"TMPDIR": str(full_disk)})
    assert result.code in (0, 1, 2, 3), result


def test_a_working_directory_that_is_gone(project: Project) -> None:
    shell = f"mkdir gone && cd gone && rmdir ../gone && exec {SUPERVISOR} --python {sys.executable}"
    result = Run(["sh", "-c", shell], project.path, clean_environment()).finish()
    assert result.code in (3, 4), result
    assert "tach: " in result.err
    assert len(result.err.splitlines()) == 1, result
