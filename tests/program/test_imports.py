"""Modules that tests import are not imported again by every test, and none of it can be seen but for the time."""

from __future__ import annotations

import pytest
from runner import ISOLATED, Project, Report

pytestmark = pytest.mark.skipif(ISOLATED != "snapshot", reason="only a rewind forgets imports")

SUITE = """
import pytest

@pytest.mark.parametrize("number", range(12))
def test_it(number):
    import helper
    helper.use()
"""


def run(project: Project, passed: int) -> Report:
    return project.json("-n", "1", "--strict-isolation").expect(0, passed=passed)


def times_imported(project: Project) -> int:
    return len(project.log())


COUNTED = "with open('log', 'a') as file: print('imported', file=file)\n"


def test_what_two_tests_import_is_imported_once_more_and_kept(project: Project) -> None:
    project.write("helper.py", COUNTED + "state = []\ndef use():\n    assert not state\n    state.append(1)\n")
    project.write("test_it.py", SUITE)
    report = run(project, 12)
    assert times_imported(project) == 3
    assert report.data["metrics"]["reimports"] == 2
    assert set(report.modes.values()) == {"snapshot"}


def test_what_one_test_imports_is_left_to_it(project: Project) -> None:
    project.write("helper.py", COUNTED + "def use(): pass\n")
    project.write("test_it.py", "def test_a():\n    import helper\ndef test_b(): pass\ndef test_c(): pass\n")
    run(project, 3)
    assert times_imported(project) == 1


def test_what_tests_under_a_wide_fixture_import_is_kept_for_those_that_follow(project: Project) -> None:
    project.write("helper.py", COUNTED + "def use(): pass\n")
    wide = "import pytest\n@pytest.fixture(scope='module', autouse=True)\ndef wide(): pass\n"
    project.write("test_a.py", wide + "\n".join(f"def test_{n}():\n    import helper" for n in range(3)))
    project.write("test_b.py", wide + "\n".join(f"def test_{n}():\n    import helper" for n in range(3)))
    run(project, 6)
    assert times_imported(project) == 4


def test_a_module_that_starts_a_thread_is_left_to_the_tests(project: Project) -> None:
    project.write(
        "helper.py",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n"
        "def use(): assert threading.active_count() == 2\n",
    )
    project.write("test_it.py", SUITE)
    report = run(project, 12)
    assert report.data["metrics"]["condemned.it left a thread running"] == 12


def test_a_module_that_can_be_imported_only_by_a_test_is_left_to_the_tests(project: Project) -> None:
    project.write("helper.py", "import os\nos.environ['PYTEST_CURRENT_TEST']\n" + COUNTED + "def use(): pass\n")
    project.write("test_it.py", SUITE)
    run(project, 12)
    assert times_imported(project) == 12


def test_a_module_that_kills_the_process_outside_a_test_costs_no_test(project: Project) -> None:
    project.write(
        "helper.py",
        "import os\n'PYTEST_CURRENT_TEST' in os.environ or os.abort()\n" + COUNTED + "def use(): pass\n",
    )
    project.write("test_it.py", SUITE)
    run(project, 12)
    assert times_imported(project) == 12


def test_another_module_of_the_same_name_is_not_taken_for_it(project: Project) -> None:
    """As under pytest in each test of its own: the directory is on the path for the test only."""
    for name in ("one", "two"):
        project.write(f"{name}/helper.py", f"NAME = '{name}'\n")
    project.write(
        "test_it.py",
        """
        import pytest, sys

        @pytest.mark.parametrize("name", ["one", "two"] * 4)
        def test_it(name, monkeypatch, request):
            monkeypatch.syspath_prepend(str(request.path.parent / name))
            import helper
            assert helper.NAME == name
        """,
    )
    run(project, 8)
