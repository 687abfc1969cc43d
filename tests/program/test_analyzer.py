"""tach-analyzer: what it prints and writes, what it does again, and that nothing in a project stops it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from people import STRANGER, as_stranger
from runner import ANALYZER, ROOT, Project, Result, Run, clean_environment

SCHEMA = json.loads((ROOT / "docs" / "analysis.schema.json").read_text(encoding="utf-8"))
CONFTEST = """
import socket
import pytest

@pytest.fixture(scope="session", params=["x", "y"])
def server():
    sock = socket.socket()
    yield sock

@pytest.fixture(autouse=True)
def always(tmp_path): pass
"""
TEST_A = """
import pytest
import lib
from helpers import run
if True:
    import json

@pytest.mark.slow(reason="big")
@pytest.mark.parametrize("x", [1, "a", None])
def test_params(x): pass

@pytest.mark.parametrize("x", list(lib.values()))
def test_computed(x): pass

class TestIt:
    def test_method(self, server, missing): pass

def test_plain(): run()
"""
HELPERS = """
import threading

def run():
    import lib

thread = threading.Thread(target=run)
thread.start()
"""


def settle() -> None:
    """A file system's clock goes in steps: what was written just now counts as perhaps being written still."""
    time.sleep(0.02)


@pytest.fixture
def suite(project: Project) -> Project:
    project.write("pyproject.toml", "[tool.pytest.ini_options]\npythonpath = ['src']\n")
    project.write("src/lib.py", "import os\ndef values(): return range(3)\n")
    project.write("src/helpers.py", HELPERS)
    project.write("tests/conftest.py", CONFTEST)
    project.write("tests/test_a.py", TEST_A)
    project.write("tests/test_b.py", "def test_b(): pass\n")
    settle()
    return project


def analysis(project: Project, *words: str) -> dict[str, Any]:
    result = project.analyze("--format", "json", *words).expect(0)
    data = json.loads(result.out)
    assert isinstance(data, dict)
    jsonschema.validate(data, SCHEMA)
    return data


def ids(data: dict[str, Any]) -> list[str]:
    return [test["id"] for test in data["tests"] if test["known"]]


def output(project: Project) -> Path:
    return project / ".tach/analysis"


def state(path: Path) -> tuple[int, bytes]:
    return path.stat().st_mtime_ns, path.read_bytes()


def said(result: Result) -> str:
    """What -v says of the run."""
    return next(line for line in result.err.splitlines() if line.startswith("tach-analyzer: "))


def expect_mistake(result: Result, code: int, *words: str) -> None:
    """One line, with these words in it, on stderr and nothing on stdout."""
    assert (result.code, result.out, len(result.err.splitlines())) == (code, "", 1), str(result)
    assert result.err.startswith("tach-analyzer: "), str(result)
    for word in words:
        assert word in result.err, str(result)


# --- what it prints ---------------------------------------------------------------------------------------------------


def test_the_json_is_valid(suite: Project) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    data = analysis(suite)
    assert [module["path"] for module in data["modules"]] == [
        "src/helpers.py",
        "src/lib.py",
        "tests/conftest.py",
        "tests/test_a.py",
        "tests/test_b.py",
    ]
    assert data["ini_file"] == "pyproject.toml"
    (diagnostic,) = data["diagnostics"]
    assert (diagnostic["file"], diagnostic["line"], diagnostic["severity"]) == ("tests/test_a.py", 15, "note")


def test_tests_that_are_known_have_the_ids_of_pytest(suite: Project) -> None:
    data = analysis(suite)
    assert ids(data) == [
        "tests/test_a.py::test_params[1]",
        "tests/test_a.py::test_params[a]",
        "tests/test_a.py::test_params[None]",
        "tests/test_a.py::test_plain",
        "tests/test_b.py::test_b",
    ]
    dynamic = {test["id"]: test["dynamic"] for test in data["tests"] if not test["known"]}
    assert dynamic["tests/test_a.py::test_computed"] == ["its parameters are computed"]
    collected = suite.pytest("--collect-only", "-q").lines
    assert set(ids(data)) <= set(collected)


def test_what_cannot_be_rewound_has_its_way_there(suite: Project) -> None:
    modules = {module["path"]: module for module in analysis(suite)["modules"]}
    assert [modules[path]["level"] for path in sorted(modules)] == ["toxic", "safe", "safe", "toxic", "safe"]
    (reason,) = modules["tests/test_a.py"]["reasons"]
    assert (reason["reason"], reason["pattern"]) == ("thread", "threading.Thread")
    assert reason["path"] == ["tests/test_a.py", "src/helpers.py"]
    assert reason["evidence"]["file"] == "src/helpers.py"
    assert modules["tests/test_a.py"]["transitive_from"] == "src/helpers.py"


def test_a_wide_fixture_is_judged_by_itself(suite: Project) -> None:
    fixtures = {fixture["name"]: fixture for fixture in analysis(suite)["fixtures"]}
    assert (fixtures["server"]["level"], fixtures["server"]["parametrized"]) == ("toxic", True)
    assert (fixtures["always"]["level"], fixtures["always"]["autouse"]) == ("safe", True)
    assert fixtures["missing"]["origin"] == "unknown"


def test_the_table(suite: Project) -> None:
    lines = suite.analyze("--format", "table").expect(0).lines
    assert lines[0] == "modules  5: 3 safe (60.0 %), 2 toxic (40.0 %), 0 unknown (0.0 %)"
    assert "toxic    src/helpers.py" in lines


def test_help_version_and_rules(project: Project) -> None:
    assert project.analyze("--help").expect(0).out.startswith("usage: tach-analyzer ")
    assert project.analyze("--version").expect(0).out.startswith("tach-analyzer ")
    rules = project.analyze("--rules").expect(0).lines
    assert rules[0] == "| pattern | reason | level | because |"
    assert any(line.startswith("| `threading.Thread` | thread | toxic |") for line in rules)
    assert os.listdir(project.path) == []


# --- what it does again -----------------------------------------------------------------------------------------------


def test_a_second_run_does_nothing(suite: Project) -> None:
    suite.analyze().expect(0)
    before = state(output(suite))
    result = suite.analyze("-v").expect(0)
    assert said(result) == f"tach-analyzer: 5 files, none has changed: {output(suite)} stays as it is"
    assert state(output(suite)) == before


def test_one_changed_file_is_parsed(suite: Project) -> None:
    suite.analyze().expect(0)
    suite.write("tests/test_b.py", "def test_other(): pass\n")
    settle()
    result = suite.analyze("-v", "--format", "json").expect(0)
    what = "5 files, 1 parsed, 0 read and found to be the same; nothing else was looked at"
    assert said(result) == f"tach-analyzer: {what}"
    assert "tests/test_b.py::test_other" in ids(json.loads(result.out))


def test_a_touched_file_is_read_and_the_output_stays(suite: Project) -> None:
    suite.analyze().expect(0)
    before = state(output(suite))
    os.utime(suite / "tests/test_b.py")
    settle()
    result = suite.analyze("-v").expect(0)
    assert said(result) == "tach-analyzer: 5 files, 0 parsed, 1 read and found to be the same"
    assert state(output(suite)) == before
    assert "none has changed" in suite.analyze("-v").err


def test_a_change_that_leaves_size_and_time_is_seen_by_paranoid(suite: Project) -> None:
    suite.analyze().expect(0)
    result = suite.analyze("-v", "--paranoid").expect(0)
    assert said(result) == "tach-analyzer: 5 files, 0 parsed, 5 read and found to be the same"


def test_new_and_deleted_files_are_noticed(suite: Project) -> None:
    suite.analyze().expect(0)
    (suite / "tests/test_b.py").unlink()
    suite.write("tests/test_c.py", "def test_c(): pass\n")
    assert ids(analysis(suite))[-1] == "tests/test_c.py::test_c"


def test_changed_rules_and_settings_are_noticed(suite: Project) -> None:
    suite.analyze().expect(0)
    suite.write("pyproject.toml", "[tool.pytest.ini_options]\npythonpath = ['src']\npython_functions = 'run_*'\n")
    assert ids(analysis(suite)) == []
    suite.write("tach.toml", "[[toxicity.rule]]\npattern = 'threading.Thread'\nlevel = 'silent'\nbecause = 'joined'\n")
    assert analysis(suite)["modules"][0]["level"] == "safe"


def test_a_copy_elsewhere_has_the_same_bytes(suite: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    # Diagnostics of the settings, too, say nothing of where it lies.
    suite.write("pytest.ini", "[pytest]\npythonpath = src\npython_files = [\ntestpaths = nowhere\n")
    suite.write("tests/test_bad.py", "def test_(:\n")
    (suite / "tests/nothing").symlink_to("missing")
    copy = tmp_path_factory.mktemp("elsewhere") / "with another name"
    shutil.copytree(suite.path, copy, symlinks=True)
    suite.analyze("-j", "1").expect(0)
    Project(copy).analyze("-j", "4").expect(0)
    assert output(suite).read_bytes() == (copy / ".tach/analysis").read_bytes()
    assert str(suite.path).encode() not in output(suite).read_bytes()


@pytest.mark.parametrize("name", ["analysis", "analysis.cache"])
@pytest.mark.parametrize("damage", ["deleted", "emptied", "truncated", "overwritten", "one bit"])
def test_what_is_damaged_is_made_again(suite: Project, name: str, damage: str) -> None:
    suite.analyze().expect(0)
    right = output(suite).read_bytes()
    file = suite / ".tach" / name
    content = file.read_bytes()
    middle = len(content) // 2
    if damage == "deleted":
        file.unlink()
    else:
        damaged = {
            "emptied": b"",
            "truncated": content[:middle],
            "overwritten": b"\xff" * len(content),
            "one bit": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        }
        file.write_bytes(damaged[damage])
    assert ids(analysis(suite))[-1] == "tests/test_b.py::test_b"
    assert output(suite).read_bytes() == right
    settle()
    suite.analyze().expect(0)
    assert "none has changed" in suite.analyze("-v").err


def test_an_output_of_its_own(suite: Project) -> None:
    suite.analyze("-o", "deep/er/analysis").expect(0)
    assert (suite / "deep/er/analysis").read_bytes().startswith(b"tach analysis 2\n")
    assert not (suite / ".tach").exists()


# --- what cannot be read ----------------------------------------------------------------------------------------------


def diagnostics(project: Project, *words: str) -> list[str]:
    """Of a run that finds test_b all the same."""
    result = project.analyze("--format", "json", *words).expect(0)
    assert "tests/test_b.py::test_b" in ids(json.loads(result.out)), str(result)
    return [line for line in result.err.splitlines() if not line.startswith("tach-analyzer: ")]


def test_a_syntax_error(suite: Project) -> None:
    suite.write("tests/test_bad.py", "def test_one(): pass\n\ndef test_two(:\n    pass\n")
    (line,) = diagnostics(suite)
    assert line.startswith("tests/test_bad.py:3:"), line
    assert line.endswith(": error: invalid syntax")


def test_invalid_utf_8(suite: Project) -> None:
    (suite / "tests/test_bad.py").write_bytes(b"x = 1\ny = '\xff'\n")
    assert diagnostics(suite) == ["tests/test_bad.py:2:6: error: not UTF-8"]


def test_a_null_byte(suite: Project) -> None:
    (suite / "tests/test_bad.py").write_bytes(b"x = 1\ny = '\0'\n")
    assert diagnostics(suite) == ["tests/test_bad.py:2:6: error: a null byte"]


def test_a_file_of_100_mb_is_not_read(suite: Project) -> None:
    with (suite / "tests/test_big.py").open("wb") as file:
        file.truncate(100_000_000)
    assert diagnostics(suite) == ["tests/test_big.py: error: 100000000 bytes long, at most 16777216 are read"]


def test_a_fifo_is_no_test_file_and_is_not_waited_for(suite: Project) -> None:
    os.mkfifo(suite / "tests/test_pipe.py")
    os.mkfifo(suite / "tests/conftest.txt")
    assert diagnostics(suite) == []


def test_a_link_to_a_directory_that_it_is_in(suite: Project) -> None:
    (suite / "tests/again").symlink_to("..")
    (line,) = diagnostics(suite)
    assert line == "tests/again: warning: is a link to a directory that it is in: not followed"


def test_links_to_nothing_are_worth_a_note(suite: Project) -> None:
    (suite / "tests/test_gone.py").symlink_to("missing.py")
    (suite / "tests/test_self.py").symlink_to("test_self.py")
    assert diagnostics(suite) == []
    assert diagnostics(suite, "-v")[:2] == [
        "tests/test_gone.py: note: is a link to nothing, or gone",
        "tests/test_self.py: note: is a link to itself",
    ]


@pytest.fixture
def stranger() -> Iterator[Project]:
    """A project that an ordinary user can write to."""
    path = Path(tempfile.mkdtemp(prefix="tach-program-"))
    yield Project(path)
    shutil.rmtree(path)


def as_ordinary(project: Project, *words: str) -> Result:
    for path in [project.path, *project.path.rglob("*")]:
        if os.geteuid() == 0:
            os.chown(path, STRANGER, STRANGER)
    how = as_stranger()
    return Run([str(ANALYZER), *words], project.path, clean_environment(**how.pop("env")), **how).finish()


def test_what_may_not_be_read(stranger: Project) -> None:
    stranger.write("tests/test_b.py", "def test_b(): pass\n")
    stranger.write("tests/test_secret.py", "def test_c(): pass\n").chmod(0)
    stranger.write("tests/closed/test_d.py")
    (stranger / "tests/closed").chmod(0)
    result = as_ordinary(stranger, "--format", "json").expect(0)
    (stranger / "tests/closed").chmod(0o755)
    assert ids(json.loads(result.out)) == ["tests/test_b.py::test_b"]
    assert result.err.splitlines() == [
        "tests/closed: warning: cannot be read: Permission denied",
        "tests/test_secret.py: error: cannot be read: Permission denied",
    ]


def test_a_file_that_may_be_read_again_is(stranger: Project) -> None:
    secret = stranger.write("test_secret.py", "def test_c(): pass\n")
    secret.chmod(0)
    as_ordinary(stranger).expect(0)
    secret.chmod(0o644)
    assert ids(json.loads(as_ordinary(stranger, "--format", "json").expect(0).out)) == ["test_secret.py::test_c"]


# --- what cannot be written -------------------------------------------------------------------------------------------


def test_an_output_below_a_file(suite: Project) -> None:
    expect_mistake(suite.analyze("-o", "tests/test_b.py/analysis"), 1, "tests/test_b.py", "Not a directory")
    expect_mistake(suite.analyze("-o", "/dev/full/analysis"), 1, "/dev/full", "Not a directory")


def test_an_output_that_is_no_regular_file_is_left_alone(suite: Project) -> None:
    (suite / "pipe").symlink_to("/dev/full")
    expect_mistake(suite.analyze("-o", "pipe"), 1, "pipe: is there, and no regular file")
    expect_mistake(suite.analyze("-o", "tests"), 1, "tests: is there, and no regular file")
    assert (suite / "pipe").is_symlink() and (suite / "tests").is_dir()


def test_an_output_that_may_not_be_written(stranger: Project) -> None:
    stranger.write("test_b.py", "def test_b(): pass\n")
    (stranger / ".tach").mkdir(0o555)
    expect_mistake(as_ordinary(stranger), 1, ".tach/analysis: Permission denied")
    shown = as_ordinary(stranger, "--format", "json").expect(0)
    assert ids(json.loads(shown.out)) == ["test_b.py::test_b"]


def test_a_depfile_that_cannot_be_written(suite: Project) -> None:
    expect_mistake(suite.analyze("--depfile", "/dev/full/x"), 1, "/dev/full")


def test_a_full_standard_output(suite: Project) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [str(ANALYZER), "--format", "json"], cwd=suite.path, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr) == (1, "tach-analyzer: standard output: No space left on device\n")


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--frobnicate"], "--frobnicate"),
        (["--format", "xml"], "--format=xml: give json or table"),
        (["--jobs", "none"], "--jobs=none: give a number from 1 to 256"),
        (["--pytest", "new"], "--pytest=new: give a version, such as 8.4"),
        (["--output"], "--output"),
        (["--root", "nowhere"], "--root nowhere: No such file or directory"),
        (["--root", "tests/test_b.py"], "tests/test_b.py"),
        (["--depfile-target", "x"], "--depfile-target: needs --depfile"),
        (["--since", "HEAD"], "--since: "),
    ],
)
def test_a_mistake_in_the_options(suite: Project, words: list[str], expected: str) -> None:
    expect_mistake(suite.analyze(*words), 2, expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[toxicity]\nmode = 'severe'\n", 'tach.toml:2:8: toxicity.mode: expected "strict" or "default"'),
        (
            "[[toxicity.rule]]\npattern = 'x.y'\nreason = 'thread'\n",
            "tach.toml:1:1: toxicity.rule: x.y: has no because",
        ),
        ("[[toxicity.rule]]\npatern = 'x.y'\n", "tach.toml:2:1: toxicity.rule.patern: unknown key"),
        ("[toxicity\n", "tach.toml:1:10: not TOML: "),
    ],
)
def test_a_mistake_in_tach_toml(suite: Project, text: str, expected: str) -> None:
    suite.write("tach.toml", text)
    expect_mistake(suite.analyze(), 2, expected)
    assert not output(suite).exists()


def test_a_mistake_in_pyproject_toml(suite: Project) -> None:
    suite.write("pyproject.toml", "[tool.tach.toxicity]\nmode = 3\n")
    expect_mistake(suite.analyze(), 2, "pyproject.toml:2:8: tool.tach.toxicity.mode: ")


def test_paths_that_do_not_exist_are_an_error_of_the_analysis(suite: Project) -> None:
    result = suite.analyze("--format", "json", "tests/nothing.py").expect(0)
    assert "file or directory not found: tests/nothing.py" in result.err


# --- rules ------------------------------------------------------------------------------------------------------------


def test_a_rule_of_the_project(suite: Project) -> None:
    suite.write(
        "tach.toml", "[[toxicity.rule]]\npattern = 'lib.values'\nreason = 'socket'\nbecause = 'asks the server'\n"
    )
    modules = {module["path"]: module for module in analysis(suite)["modules"]}
    found = {reason["reason"]: reason for reason in modules["tests/test_a.py"]["reasons"]}
    assert found["socket"]["because"] == "asks the server"


def test_strict_mode(suite: Project) -> None:
    suite.write("tests/test_b.py", "import threading\ndef test_b(): threading.Thread()\n")
    assert analysis(suite)["modules"][4]["level"] == "safe"
    suite.write("tach.toml", "[toxicity]\nmode = 'strict'\n")
    assert analysis(suite)["modules"][4]["level"] == "toxic"


# --- affected tests ---------------------------------------------------------------------------------------------------


def test_affected_by_a_file(suite: Project) -> None:
    affected = suite.analyze("--affected-by", "src/helpers.py").expect(0).lines
    assert "tests/test_a.py::test_plain" in affected
    assert "tests/test_b.py::test_b" not in affected
    assert suite.analyze("--affected-by", "tests/test_b.py").expect(0).lines == ["tests/test_b.py::test_b"]
    assert suite.analyze("--affected-by", "README.md").expect(0).lines == []


def test_affected_by_says_why(suite: Project) -> None:
    result = suite.analyze("-v", "--affected-by", "src/helpers.py").expect(0)
    assert "tach-analyzer: tests/test_a.py:3: import: src/helpers.py" in result.err
    result = suite.analyze("-v", "--affected-by", "pyproject.toml").expect(0)
    assert "tests/test_b.py::test_b" in result.lines
    assert "tach-analyzer: pyproject.toml can affect every test" in result.err


def test_affected_by_is_of_the_working_directory(suite: Project) -> None:
    result = suite.analyze("--root", "..", "--affected-by", "test_b.py", cwd=suite / "tests").expect(0)
    assert result.lines == ["tests/test_b.py::test_b"]


def git(project: Project, *words: str) -> None:
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *words], cwd=project.path, check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_since_a_revision(suite: Project) -> None:
    suite.write(".gitignore", ".tach/\n")
    git(suite, "init", "--quiet")
    git(suite, "add", ".")
    git(suite, "commit", "--quiet", "-m", "one")
    assert suite.analyze("--since", "HEAD").expect(0).lines == []
    suite.write("tests/test_b.py", "def test_b(): assert True\n")
    assert suite.analyze("--since", "HEAD").expect(0).lines == ["tests/test_b.py::test_b"]
    suite.write("tests/test_c.py", "def test_c(): pass\n")
    assert suite.analyze("--since", "HEAD").expect(0).lines == ["tests/test_b.py::test_b", "tests/test_c.py::test_c"]
    expect_mistake(suite.analyze("--since", "nothing"), 2, "--since: nothing: no such revision")
