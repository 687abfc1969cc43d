"""Installed modules that tests import are not imported again by every test, and none of it can be seen but for the time."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path

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
COUNTED = "with open('log', 'a') as file: print('imported', file=file)\n"


@pytest.fixture
def installed(project: Project) -> Path:
    """Where modules are installed for the project's interpreter, which is one of its own."""
    environment = project / "environment"
    subprocess.run([project.python, "-m", "venv", "--without-pip", str(environment)], check=True)
    (place,) = environment.glob("lib/python*/site-packages")
    (place / "outer.pth").write_text(sysconfig.get_path("purelib") + "\n")
    project.python = str(environment / "bin" / "python")
    return place


def run(project: Project, passed: int) -> Report:
    return project.json("-n", "1", "--strict-isolation").expect(0, passed=passed)


def test_what_two_tests_import_is_imported_once_more_and_kept(project: Project, installed: Path) -> None:
    (installed / "helper.py").write_text(
        COUNTED + "state = []\ndef use():\n    assert not state\n    state.append(1)\n"
    )
    project.write("test_it.py", SUITE)
    report = run(project, 12)
    assert len(project.log()) == 3
    assert report.data["metrics"]["reimports"] == 2
    assert set(report.modes.values()) == {"snapshot"}


def forget_durations(project: Project) -> None:
    """Have the next run hand out its tests as the first one did, in one piece, and log anew."""
    memory = project / ".tach" / "memory.json"
    memory.write_text(json.dumps(json.loads(memory.read_text()) | {"durations": {}}))
    (project / "log").unlink()


def test_the_next_run_remembers_what_is_worth_keeping(project: Project, installed: Path) -> None:
    helper = installed / "helper.py"
    helper.write_text(COUNTED + "def use(): pass\n")
    project.write("test_it.py", SUITE)
    run(project, 12)
    forget_durations(project)
    run(project, 12)
    assert len(project.log()) == 2  # by the first test, and to be kept
    # Of another file of that name nothing is known.
    helper.unlink()
    (installed / "helper").mkdir()
    (installed / "helper" / "__init__.py").write_text(COUNTED + "def use(): pass\n")
    forget_durations(project)
    run(project, 12)
    assert len(project.log()) == 3


def test_nothing_is_imported_for_nobody(project: Project, installed: Path) -> None:
    (installed / "helper.py").write_text(COUNTED + "def use(): pass\n")
    project.write("test_it.py", SUITE)
    run(project, 12)
    (project / "log").unlink()
    project.json("-n", "1", "--strict-isolation", "test_it.py::test_it[3]").expect(0, passed=1)
    assert len(project.log()) == 1


def test_what_one_test_imports_is_left_to_it(project: Project, installed: Path) -> None:
    (installed / "helper.py").write_text(COUNTED)
    project.write("test_it.py", "def test_a():\n    import helper\ndef test_b(): pass\ndef test_c(): pass\n")
    run(project, 3)
    assert len(project.log()) == 1


def test_what_tests_under_a_wide_fixture_import_is_kept_for_those_that_follow(
    project: Project, installed: Path
) -> None:
    (installed / "helper.py").write_text(COUNTED)
    wide = "import pytest\n@pytest.fixture(scope='module', autouse=True)\ndef wide(): pass\n"
    project.write("test_a.py", wide + "\n".join(f"def test_{n}():\n    import helper" for n in range(3)))
    project.write("test_b.py", wide + "\n".join(f"def test_{n}():\n    import helper" for n in range(3)))
    run(project, 6)
    assert len(project.log()) == 4


def test_a_projects_own_module_is_imported_by_each_test(project: Project) -> None:
    project.write("helper.py", COUNTED + "def use(): pass\n")
    project.write("test_it.py", SUITE)
    run(project, 12)
    assert len(project.log()) == 12


@pytest.mark.parametrize(
    "surroundings", ["setenv('MODE', 'test')", "syspath_prepend('elsewhere')", "setattr('sys.argv', ['x'])"]
)
def test_what_a_test_imports_in_surroundings_of_its_own_is_left_to_it(
    project: Project, installed: Path, surroundings: str
) -> None:
    reads = "import os, sys\nSEEN = os.environ.get('MODE'), sys.path[0].endswith('elsewhere'), sys.argv == ['x']\n"
    (installed / "helper.py").write_text(reads + "def use(): assert any(SEEN)\n")
    project.write(
        "conftest.py",
        f"import pytest\n@pytest.fixture(autouse=True)\ndef around(monkeypatch): monkeypatch.{surroundings}\n",
    )
    project.write("test_it.py", SUITE)
    run(project, 12)


def test_a_module_that_starts_a_thread_is_left_to_the_tests(project: Project, installed: Path) -> None:
    (installed / "helper.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n"
        "def use(): assert threading.active_count() == 2\n"
    )
    project.write("test_it.py", SUITE)
    report = run(project, 12)
    assert report.data["metrics"]["condemned.it left a thread running"] == 12


LEFT_OUT = "each test that needs helper imports it for itself: it waits for the end of the process"


def test_what_cannot_be_kept_is_named_once_and_remembered(project: Project, installed: Path) -> None:
    helper = installed / "helper.py"
    helper.write_text(COUNTED + "import atexit\natexit.register(print)\ndef use(): pass\n")
    project.write("test_it.py", SUITE)
    words = ("-n", "1", "--strict-isolation")
    assert LEFT_OUT in project.tach(*words).expect(0, passed=12).lines
    assert len(project.log()) == 13  # each test, and the attempt
    forget_durations(project)
    assert LEFT_OUT not in project.tach(*words).expect(0, passed=12).lines
    assert len(project.log()) == 12
    helper.write_text(helper.read_text() + "\n")  # another one, for all we know
    forget_durations(project)
    assert LEFT_OUT in project.tach(*words).expect(0, passed=12).lines


def test_a_module_that_waits_for_the_end_is_left_to_the_tests(project: Project, installed: Path) -> None:
    (installed / "helper.py").write_text(
        COUNTED + "import atexit\natexit.register(lambda: open('ended', 'a').write('x'))\ndef use(): pass\n"
    )
    project.write("test_it.py", SUITE)
    run(project, 12)
    assert len(project.log()) == 13
    assert (project / "ended").read_text() == len(project.log()) * "x"


# While modules are warmed there is an alarm, and in a test there is none: the only thing that tells them apart.
@pytest.mark.parametrize(
    "content",
    [
        "raise SystemExit",
        "import os; os.abort()",
        "import time; signal.alarm(1); time.sleep(1000)",
        "import json; raise ValueError",
    ],
)
def test_a_module_that_cannot_be_imported_outside_a_test_costs_no_test(
    project: Project, installed: Path, content: str
) -> None:
    (installed / "helper.py").write_text(
        "import signal\nleft = signal.alarm(0)\nif left:\n    " + content + "\n" + COUNTED + "def use(): pass\n"
    )
    project.write("test_it.py", SUITE)
    run(project, 12)
    assert len(project.log()) == 12


def test_another_module_of_the_same_name_is_not_taken_for_it(project: Project, installed: Path) -> None:
    (installed / "package").mkdir()
    (installed / "package" / "__init__.py").write_text("")
    for name in ("one", "two"):
        project.write(f"{name}/helper.py", f"NAME = '{name}'\n")
        project.write(f"{name}/package/module.py", f"NAME = '{name}'\n")
        project.write(f"{name}/package/__init__.py", "")
    project.write(
        "test_it.py",
        """
        import pytest, sys

        @pytest.mark.parametrize("name", ["one", "two"] * 4)
        def test_it(name, monkeypatch, request):
            monkeypatch.syspath_prepend(str(request.path.parent / name))
            import helper, package.module
            assert (helper.NAME, package.module.NAME) == (name, name)
        """,
    )
    run(project, 8)


def test_what_a_test_does_to_our_tools_does_not_reach_us(project: Project, installed: Path) -> None:
    (installed / "helper.py").write_text("def use(): pass\n")
    project.write(
        "test_it.py",
        """
        import json, os
        import pytest

        @pytest.fixture(scope="module", autouse=True)
        def patched():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(json, "dumps", None)
                patch.setattr(json, "loads", None)
                patch.setattr(os, "pwrite", None)
                yield

        @pytest.mark.parametrize("number", range(4))
        def test_it(number):
            import helper
        """,
    )
    run(project, 4)


def test_a_module_that_was_imported_under_a_mock_costs_no_verdict(project: Project, installed: Path) -> None:
    (installed / "helper.py").write_text("import platform\nSYSTEM = platform.system()\n")
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.mark.parametrize("number", range(6))
        def test_it(number, monkeypatch):
            monkeypatch.setattr("platform.system", lambda: "Odd")
            import helper
            assert helper.SYSTEM == "Odd"
        """,
    )
    report = project.json("-n", "1").expect(0, passed=6)
    assert report.test("::test_it[5]")["note"].startswith("run again, since it failed where modules had been imported")
