"""The instrument itself: generators that keep their word, and a comparison that notices what a runner lost."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import compare
import red
import workloads

SMALL = 0.004
LIGHT = [
    name
    for name, workload in workloads.WORKLOADS.items()
    if all(importlib.util.find_spec(module) for module in workload.needs)
]


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def runner_that_appends(root: Path, *arguments: str) -> str:
    """A stand-in for tach-supervisor: pytest itself, with something added to its command line."""
    script = root / "runner"
    extra = " ".join(arguments)
    script.write_text(f'#!/bin/sh\nshift 4\nexec "{sys.executable}" -m pytest "$@" {extra}\n')
    script.chmod(0o755)
    return str(script)


@pytest.mark.parametrize("name", LIGHT)
def test_pytest_passes_as_many_tests_as_were_promised(tmp_path: Path, name: str) -> None:
    promised = workloads.generate(name, tmp_path / "project", SMALL)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path / "project", capture_output=True, text=True, check=False)
    assert compare.counts_in(done.stdout) == {"passed": promised}
    assert done.returncode == 0


@pytest.mark.parametrize("name", workloads.WORKLOADS)
def test_the_same_scale_gives_the_same_files(tmp_path: Path, name: str) -> None:
    for root in (tmp_path / "a", tmp_path / "b"):
        workloads.generate(name, root, SMALL)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_full_size_is_the_published_size() -> None:
    assert workloads.scaled(500, 1.0) * 20 == 10_000
    assert workloads.scaled(7**5, 1.0) == 16_807


def test_a_directory_with_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(FileExistsError, match="is not empty"):
        workloads.generate("flat10k", tmp_path, SMALL)


@pytest.mark.parametrize(
    ("last_line", "counts"),
    [
        ("10 passed in 0.10s", {"passed": 10}),
        (
            "= 1 failed, 2 passed, 3 skipped, 1 error in 1s =",
            {"failed": 1, "passed": 2, "skipped": 3, "error": 1},
        ),
        ("2 errors in 1.00s", {"error": 2}),
        ("1 crashed, 9 passed, 3 warnings in 1.00s", {"crashed": 1, "passed": 9}),
        ("no tests ran in 0.01s", {}),
    ],
)
def test_counts_are_read_from_the_last_line(last_line: str, counts: dict[str, int]) -> None:
    assert compare.counts_in(f"FAILED x\n{last_line}\n") == counts


def test_a_runner_that_agrees_is_not_marked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["--rounds", "1", "--scale", "0.004", "--runners", "tach", "--no-memory", "flat10k"]
    assert compare.main(["--tach", runner_that_appends(tmp_path), *arguments]) == 0
    assert "40 tests here" in capfd.readouterr().out


def test_a_runner_that_loses_a_test_is_marked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lossy = runner_that_appends(tmp_path, "--deselect", "tests/test_flat_000.py::test_plain_7")
    arguments = ["--rounds", "1", "--scale", "0.004", "--runners", "tach", "--no-memory", "flat10k"]
    assert compare.main(["--tach", lossy, *arguments]) == 1
    assert "RAN 39 OF 40 TESTS" in capfd.readouterr().out


def test_a_runner_with_another_exit_code_is_marked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wrong = runner_that_appends(tmp_path, "; exit 3")
    Path(wrong).write_text(Path(wrong).read_text().replace("exec ", ""))
    arguments = ["--rounds", "1", "--scale", "0.004", "--runners", "tach", "--no-memory", "flat10k"]
    assert compare.main(["--tach", wrong, *arguments]) == 1
    assert "DIFFERS" in capfd.readouterr().out


@pytest.mark.parametrize("one_cause", [False, True], ids=["each its own", "one cause"])
@pytest.mark.parametrize("share", red.SHARES)
def test_as_many_tests_fail_as_were_asked_for(tmp_path: Path, share: int, one_cause: bool) -> None:
    tests = red.write_suite(tmp_path / "suite", 0.05, share, 0, one_cause)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path / "suite", capture_output=True, text=True, check=False)
    failing = tests * share // 100
    counts = {"passed": tests - failing, "error" if one_cause else "failed": failing}
    assert compare.counts_in(done.stdout) == {kind: count for kind, count in counts.items() if count}


def test_a_suite_of_ones_own_is_made_to_fail(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite/test_it.py").write_text("def test_a(): pass\ndef test_b(): assert False\n")
    runner = runner_that_appends(tmp_path)
    arguments = ["--rounds", "1", "--shares", "0", "100", "--project", str(tmp_path / "suite")]
    assert red.main([*arguments, "--tach", runner]) == 0
    rows = capfd.readouterr().out.splitlines()[1:]
    assert [row.split("%")[0].split() for row in rows] == [
        ["pytest", "0"],
        ["tach", "0"],
        ["pytest", "100"],
        ["tach", "100"],
    ]


def test_a_red_run_that_differs_is_marked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lossy = runner_that_appends(tmp_path, "--deselect", "tests/test_red_000.py::test_0")
    assert red.main(["--rounds", "1", "--scale", "0.01", "--shares", "0", "--tach", lossy]) == 1
    assert "DIFFERS: {'passed': 19}, exit 0; pytest: {'passed': 20}, 0" in capfd.readouterr().out
