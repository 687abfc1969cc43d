"""Under which name a report counts: pytest_report_teststatus is asked as often as by pytest, and all outputs agree."""

from __future__ import annotations

import pytest
from runner import Project, needs_plugin

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])
SUBTESTS = """
    def test_parts(subtests):
        for number in range(3):
            with subtests.test(number=number):
                assert number != 1

    def test_whole(): pass
    """


@WORKERS
def test_the_hook_is_asked_as_often_as_by_pytest(project: Project, workers: str) -> None:
    project.write(
        "conftest.py",
        """
        def pytest_report_teststatus(report, config):
            if report.when == "call":
                with open("log", "a") as file:
                    file.write(f"{report.nodeid} {report.outcome}\\n")
        """,
    )
    project.write("test_it.py", "def test_ok(): pass\ndef test_bad(): assert 0\ndef test_also_ok(): pass\n")
    theirs = project.pytest()
    expected = project.log()
    (project / "log").unlink()
    project.tach("-n", workers).expect(theirs.code, **theirs.counts)
    assert project.log() == expected
    assert len(expected) == 4  # once each, and once more for the failure in the summary


@pytest.mark.parametrize("words", [["-n", "1"], ["-n", "2"], ["--mode", "shared"]], ids=" ".join)
def test_a_category_of_the_suite_is_counted_everywhere(project: Project, words: list[str]) -> None:
    project.write(
        "conftest.py",
        """
        def pytest_report_teststatus(report, config):
            if report.when == "call" and report.passed:
                return ("failed", "x", "NOT GOOD") if "strange" in report.nodeid else ("fine", ",", "FINE")
        """,
    )
    project.write("test_it.py", "def test_ok(): pass\ndef test_strange(): pass\n")
    assert "1 failed, 1 fine in" in project.pytest().out
    report = project.json(*words).expect(0, failed=1)
    assert report.outcomes == {"test_ok": "other", "test_strange": "failed"}
    assert "1 failed, 1 fine in" in project.tach(*words).out


@needs_plugin("pytest_rerunfailures")
class TestSubtests:
    """Those of pytest 9 itself."""

    @WORKERS
    def test_a_failed_part_fails_its_test(self, plugins_project: Project, workers: str) -> None:
        plugins_project.write("test_it.py", SUBTESTS)
        theirs = plugins_project.pytest().expect(1, failed=2, passed=1)
        words = ("-n", workers, "--junitxml", "report.xml")
        result = plugins_project.tach(*words).expect(1, **theirs.counts)
        assert "contains 1 failed subtest" in result.out
        assert "contains 1 failed subtest" in (plugins_project / "report.xml").read_text()
        assert plugins_project.json("-n", workers).expect(1).outcomes == {
            "test_parts": "failed",
            "test_whole": "passed",
        }

    def test_last_failed_remembers_it(self, plugins_project: Project) -> None:
        plugins_project.write("test_it.py", SUBTESTS)
        plugins_project.tach().expect(1)
        plugins_project.tach("--lf").expect(1, failed=2)

    @WORKERS
    def test_an_attempt_that_is_followed_by_another_one_does_not_count(
        self, plugins_project: Project, workers: str
    ) -> None:
        plugins_project.write(
            "test_it.py",
            """
            count = []

            def test_flaky(subtests):
                count.append(1)
                with subtests.test():
                    assert len(count) == 2

            def test_other(): pass
            """,
        )
        plugins_project.write("tach.toml", '[plugins]\nrewindable = ["pytest_rerunfailures"]\n')
        report = plugins_project.json("-n", workers, "--reruns", "1").expect(0, passed=2)
        assert report.outcomes == {"test_flaky": "passed", "test_other": "passed"}
        assert "2 passed, 1 rerun" in report.err
