"""A test's output is captured and attributed as --capture says, whoever wrote it and however much it is."""

from __future__ import annotations

import pytest
from runner import Project

MEGABYTES = 10


@pytest.mark.parametrize("mode", ["fork", "shared"])
def test_ten_megabytes_on_each_stream(project: Project, mode: str) -> None:
    project.write(
        "test_it.py",
        f"""
        import sys

        def test_loud():
            for _ in range({MEGABYTES}):
                sys.stdout.write("o" * (1 << 20))
                sys.stderr.write("e" * (1 << 20))
        def test_quiet(): pass
        """,
    )
    report = project.json("--mode", mode).expect(0, passed=2)
    loud = report.test("::test_loud")
    assert (len(loud["stdout"]), set(loud["stdout"])) == (MEGABYTES << 20, {"o"})
    assert (len(loud["stderr"]), set(loud["stderr"])) == (MEGABYTES << 20, {"e"})
    assert report.test("::test_quiet")["stdout"] == ""


def test_ten_megabytes_of_a_subprocess(project: Project) -> None:
    project.write(
        "test_it.py",
        f"""
        import subprocess

        def test_loud():
            subprocess.run(["head", "-c", "{MEGABYTES}M", "/dev/zero"], check=True)
            subprocess.run("head -c {MEGABYTES}M /dev/zero | tr '\\\\0' e >&2", shell=True, check=True)
        """,
    )
    loud = project.json().expect(0, passed=1).test("::test_loud")
    assert (len(loud["stdout"]), len(loud["stderr"])) == (MEGABYTES << 20, MEGABYTES << 20)


ATTRIBUTION = """
import os, subprocess, sys
import pytest

@pytest.fixture(scope="module")
def wide():
    print("wide set-up")
    yield
    print("wide teardown")

@pytest.fixture
def narrow():
    print("narrow set-up")
    yield
    print("narrow teardown")

def test_first(wide, narrow):
    print("first")
    os.write(1, b"raw\\n")
    subprocess.run(["echo", "child"], check=True)
    assert False

def test_second(wide):
    print("second", file=sys.stderr)
    assert False

def test_third(wide):
    print("third")
    assert False
"""


def output_sections(lines: list[str]) -> list[str]:
    start = next(i for i, line in enumerate(lines) if "= FAILURES =" in line)
    end = next(i for i, line in enumerate(lines) if "short test summary" in line)
    return [line for line in lines[start:end] if line and not line.startswith(("tach", "seed", "-" * 36 + "  tach"))]


@pytest.mark.parametrize("capture", ["fd", "sys", "tee-sys"])
@pytest.mark.parametrize("mode", ["fork", "shared"])
def test_output_is_attributed_as_pytest_does(project: Project, capture: str, mode: str) -> None:
    project.write("test_it.py", ATTRIBUTION)
    words = [f"--capture={capture}", "--color=no"]
    theirs = output_sections(project.pytest(*words).lines)
    ours = output_sections(project.tach("--mode", mode, *words).expect(1, failed=3).lines)
    ours = [line for line in ours if not line.endswith(f" tach {'-' * 37}")]
    assert ours == theirs


@pytest.mark.parametrize("words", [["-s"], ["--capture=no"], ["--capture=tee-sys"]], ids=" ".join)
def test_output_passes_through(project: Project, words: list[str]) -> None:
    project.write(
        "test_it.py",
        "import sys\ndef test_a():\n    print('straight out')\n    print('straight err', file=sys.stderr)\n",
    )
    result = project.tach(*words).expect(0, passed=1)
    assert "straight out" in result.out
    assert "straight err" in result.err


def test_no_capture_passes_a_subprocess_through(project: Project) -> None:
    project.write("test_it.py", "import subprocess\ndef test_a(): subprocess.run(['echo', 'from', 'a child'])\n")
    assert "from a child" in project.tach("-s").expect(0, passed=1).out


def test_fixtures_that_capture(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import logging, os, subprocess, sys, warnings
        import pytest

        def test_capsys(capsys):
            print("hello")
            print("error", file=sys.stderr)
            assert capsys.readouterr() == ("hello\\n", "error\\n")

        def test_capfd(capfd):
            subprocess.run(["echo", "child"])
            os.write(2, b"raw")
            assert capfd.readouterr() == ("child\\n", "raw")

        def test_capfdbinary(capfdbinary):
            os.write(1, b"\\xff\\x00")
            assert capfdbinary.readouterr().out == b"\\xff\\x00"

        def test_disabled(capsys):
            with capsys.disabled():
                print("not captured")

        def test_caplog(caplog):
            with caplog.at_level(logging.INFO):
                logging.info("said %s", "this")
            assert caplog.messages == ["said this"]

        def test_recwarn(recwarn):
            warnings.warn("mind")
            assert [str(w.message) for w in recwarn] == ["mind"]
        """,
    )
    assert "not captured" in project.tach().expect(0, passed=6).out


def test_standard_input_cannot_be_read(project: Project) -> None:
    project.write("test_it.py", "import pytest\ndef test_a():\n    with pytest.raises(OSError): input()\n")
    project.tach().expect(0, passed=1)


def test_what_is_left_in_buffers_is_not_said_twice(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import sys
        sys.stdout.write("at import ")

        file = open("notes", "a")
        file.write("written at import\\n")

        def test_a(): sys.stdout.write("in a "); file.write("in a\\n")
        def test_b(): sys.stdout.write("in b "); file.write("in b\\n")
        """,
    )
    report = project.json("-n", "1").expect(0, passed=2)
    assert report.test("::test_a")["stdout"] == "in a "
    assert report.test("::test_b")["stdout"] == "in b "
    assert sorted(project.log("notes")) == ["in a", "in b", "written at import"]
