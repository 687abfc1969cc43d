"""`--format json`: one object on stdout and nothing else, as docs/report.schema.json describes it."""

from __future__ import annotations

import json
import sys

import jsonschema
import pytest
from runner import ENGINE, ISOLATED, ROOT, Project, Report

SUITE = """
import os, sys, warnings
import pytest

@pytest.fixture
def broken(): raise LookupError("no set-up")

@pytest.fixture
def breaks_later():
    yield
    raise LookupError("no teardown")

@pytest.fixture(scope="module")
def wide(): return 1

def test_pass(wide):
    print("to stdout")
    print("to stderr", file=sys.stderr)

def test_fail(): assert 1 == 2, "not equal"
def test_error(broken): pass
def test_both(breaks_later): pass
def test_skip(): pytest.skip("not now")
@pytest.mark.xfail(reason="known")
def test_xfail(): assert False
@pytest.mark.xfail
def test_xpass(): pass
def test_crash(): os.abort()
def test_left_out(): pass
def test_bytes(): print("\\udc80 \\x00 \\x1b[31m")
"""
SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def report(project: Project) -> Report:
    project.write("test_it.py", SUITE)
    return project.json(
        "--seed", "5", "-n", "2", "-k", "not left_out", env={"PYTHONIOENCODING": "utf-8:surrogateescape"}
    )


def test_it_is_valid(report: Report) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(report.data, SCHEMA)


def test_counts_and_outcomes(report: Report) -> None:
    report.expect(1, passed=3, failed=1, error=2, skipped=1, xfailed=1, xpassed=1, crashed=1, deselected=1)
    assert report.outcomes == {
        "test_pass": "passed",
        "test_fail": "failed",
        "test_error": "error",
        "test_both": "error",
        "test_skip": "skipped",
        "test_xfail": "xfailed",
        "test_xpass": "xpassed",
        "test_crash": "crashed",
        "test_bytes": "passed",
    }


def test_phases(report: Report) -> None:
    def phases(name: str) -> dict[str, str | None]:
        return {phase: told and told["outcome"] for phase, told in report.test(name)["phases"].items()}

    assert phases("::test_pass") == {"setup": "passed", "call": "passed", "teardown": "passed"}
    assert phases("::test_error") == {"setup": "failed", "call": None, "teardown": "passed"}
    assert phases("::test_both") == {"setup": "passed", "call": "passed", "teardown": "failed"}
    assert phases("::test_skip") == {"setup": "passed", "call": "skipped", "teardown": "passed"}


def test_texts(report: Report) -> None:
    test = report.test("::test_pass")
    assert (test["stdout"], test["stderr"], test["message"], test["longrepr"]) == (
        "to stdout\n",
        "to stderr\n",
        "",
        "",
    )
    failed = report.test("::test_fail")
    assert failed["message"] == "AssertionError: not equal"
    assert "def test_fail(): assert 1 == 2" in failed["longrepr"]
    assert "not now" in report.test("::test_skip")["message"]


def test_the_run(report: Report) -> None:
    data = report.data
    assert (data["engine"], data["seed"], data["workers"], data["exit_code"]) == (ENGINE, 5, 2, 1)
    assert data["python"] == {"executable": sys.executable, "version": sys.version.split()[0]}
    assert data["duration_s"] > 0
    assert {test["mode"] for test in report.tests} == {ISOLATED}


@pytest.mark.parametrize(
    ("content", "words", "code"),
    [
        ("x = 1\n", [], 5),
        ("def test_a(:\n", [], 2),
        ("def test_a(): pass\n", ["-k", "nothing"], 5),
        ("def test_a(): pass\n", ["missing.py"], 4),
        ("def test_a(): pass\n", ["--mode", "shared"], 0),
        ("def test_a(): print('loud')\n", ["-s"], 0),
        ("print('at import')\ndef test_a(): pass\n", ["-s"], 0),
        ("import os\ndef test_a(): os.write(1, b'raw')\n", ["-s", "--mode", "shared"], 0),
        ("def test_a(): raise KeyboardInterrupt\n", [], 2),
    ],
)
def test_it_is_alone_on_stdout_and_valid_whatever_happens(
    project: Project, content: str, words: list[str], code: int
) -> None:
    project.write("test_it.py", content)
    report = project.json(*words).expect(code)
    jsonschema.validate(report.data, SCHEMA)
    assert report.data["exit_code"] == code


def test_a_run_that_cannot_start_prints_nothing_on_stdout(project: Project) -> None:
    result = project.tach("--format", "json", "--python", "/nonexistent/python").expect(4)
    assert result.out == ""
    assert result.err != ""
