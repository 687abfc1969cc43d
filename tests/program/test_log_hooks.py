"""Log hooks of a suite and its hooks around a test: under pytest they share one process, and so it must look."""

from __future__ import annotations

import pytest
from runner import ISOLATED, Project, Result

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])
TESTS = """
    def test_a():
        '''adds a user'''

    def test_b():
        '''drops a user'''
        assert 0

    def test_c():
        '''lists users'''
    """


def same_as_pytest(project: Project, workers: str, logs: tuple[str, ...] = ("log",)) -> Result:
    """Run both and compare verdicts, exit code and what the hooks have written."""
    theirs = project.pytest()
    expected = [project.log(name) for name in logs]
    for name in logs:
        (project / name).unlink(missing_ok=True)
    result = project.tach("-n", workers).expect(theirs.code, **theirs.counts)
    assert [project.log(name) for name in logs] == expected
    return result


def in_all_modes(result: Result, mode: str) -> None:
    assert f"modes: {sum(result.counts.values())} {mode}" in result.out, str(result)


class TestWhatTheTestsSideKeeps:
    """It is there in log hooks, which are called in order and once, whatever runs in parallel or again."""

    @WORKERS
    def test_in_a_global(self, project: Project, workers: str) -> None:
        project.write(
            "conftest.py",
            """
            titles = {}
            last = None

            def pytest_runtest_makereport(item, call):
                global last
                titles[item.nodeid] = item.function.__doc__
                last = item

            def pytest_runtest_logreport(report):
                if report.when == "call":
                    with open("log", "a") as file:
                        file.write(f"{titles[report.nodeid]}: {report.outcome}, {len(titles)}, {last.name}\\n")
            """,
        )
        project.write("test_it.py", TESTS)
        in_all_modes(same_as_pytest(project, workers), ISOLATED)

    @WORKERS
    def test_in_an_object(self, project: Project, workers: str) -> None:
        project.write(
            "conftest.py",
            """
            import pytest

            class Phase:
                name = ""

            class Steps:
                def __init__(self):
                    self.calls = 0
                    self.item = None
                    self.phases = []
                    self.phase = Phase()

                @pytest.hookimpl(hookwrapper=True, tryfirst=True)
                def pytest_runtest_protocol(self, item):
                    self.item = item
                    yield

                def pytest_runtest_call(self, item):
                    self.count()

                def count(self):
                    self.calls += 1

                def pytest_runtest_makereport(self, item, call):
                    self.phases.append(call.when)
                    self.phase.name = call.when

                def pytest_runtest_logstart(self, nodeid):
                    self.write("start")

                def pytest_runtest_logreport(self, report):
                    self.write(f"{report.when} {report.outcome}")

                def pytest_runtest_logfinish(self, nodeid):
                    self.write("finish")

                def write(self, what):
                    with open("log", "a") as file:
                        file.write(f"{what} {self.item.name} {self.calls} {self.phases} {self.phase.name}\\n")

            def pytest_configure(config):
                config.pluginmanager.register(Steps())
            """,
        )
        project.write("test_it.py", TESTS)
        in_all_modes(same_as_pytest(project, workers), ISOLATED)

    def test_in_a_module_of_the_project_by_a_fixture(self, project: Project) -> None:
        project.write("results.py", "rows = []\n")
        project.write(
            "conftest.py",
            """
            import os
            import pytest
            import results

            @pytest.fixture(autouse=True)
            def noted(request):
                os.environ["CASE"] = request.node.name
                results.rows.append(request.node.name)

            def pytest_runtest_logreport(report):
                with open("log", "a") as file:
                    file.write(f"{report.when} {results.rows} {os.environ.get('CASE')}\\n")
            """,
        )
        project.write("test_it.py", TESTS)
        in_all_modes(same_as_pytest(project, "2"), ISOLATED)

    def test_with_what_cannot_travel(self, project: Project) -> None:
        project.write(
            "conftest.py",
            """
            import threading

            kept = {"lock": threading.Lock(), "error": None}

            def pytest_runtest_makereport(item, call):
                kept["error"] = call.excinfo
                kept["own lock"] = threading.Lock()

            def pytest_runtest_logreport(report):
                with kept["lock"], open("log", "a") as file:
                    file.write(f"{report.when} {kept['error'] and kept['error'].exconly()}\\n")
            """,
        )
        project.write("test_it.py", TESTS)
        in_all_modes(same_as_pytest(project, "2"), ISOLATED)


class TestWhatActsOnTests:
    """It is done beside the test."""

    @WORKERS
    def test_the_environment(self, project: Project, workers: str) -> None:
        project.write(
            "conftest.py",
            """
            import os

            def pytest_runtest_logstart(nodeid, location): os.environ["CURRENT_CASE"] = nodeid

            def pytest_runtest_logfinish(nodeid, location): os.environ.pop("CURRENT_CASE", None)
            """,
        )
        project.write(
            "test_it.py",
            """
            import os
            import pytest

            @pytest.mark.parametrize("number", [1, 2, 3])
            def test_it(number): assert os.environ["CURRENT_CASE"].endswith(f"test_it[{number}]")
            """,
        )
        in_all_modes(same_as_pytest(project, workers), ISOLATED)

    def test_a_global_that_a_fixture_reads(self, project: Project) -> None:
        project.write(
            "conftest.py",
            """
            import pytest

            class State:
                current = None

            state = State()

            def pytest_runtest_logstart(nodeid): state.current = nodeid

            def pytest_runtest_logreport(report): state.phase = report.when

            @pytest.fixture
            def current(): return state.current

            def pytest_runtest_teardown(item): assert state.phase == "call"
            """,
        )
        project.write(
            "test_it.py",
            "def test_a(current): assert current.endswith('test_a')\ndef test_b(current): assert 'test_b' in current\n",
        )
        in_all_modes(same_as_pytest(project, "2"), ISOLATED)

    @WORKERS
    def test_steps_that_give_up_after_a_failed_one(self, project: Project, workers: str) -> None:
        project.write(
            "conftest.py",
            """
            import pytest

            failed = []

            def pytest_runtest_logreport(report):
                if report.failed: failed.append(report.nodeid)

            def pytest_runtest_setup(item):
                if failed: pytest.skip(f"after {failed[0]}")
            """,
        )
        project.write("test_it.py", TESTS)
        theirs = project.pytest().expect(1, passed=1, failed=1, skipped=1)
        project.tach("-n", workers).expect(theirs.code, **theirs.counts)

    def test_with_a_file_that_has_one_order_the_session_is_not_split(self, project: Project) -> None:
        project.write(
            "conftest.py",
            """
            import os

            def pytest_runtest_logstart(nodeid):
                os.environ["CURRENT_CASE"] = nodeid
                with open("log", "a") as file: file.write(f"{nodeid}\\n")
            """,
        )
        project.write(
            "test_it.py", "import os\ndef test_a(): assert os.environ['CURRENT_CASE']\ndef test_b(): test_a()\n"
        )
        result = same_as_pytest(project, "2")
        in_all_modes(result, "shared")
        assert "conftest.py act on tests (environ) and write to the outside (open())" in result.out

    def test_a_crash_is_heard_where_it_can_be_told(self, project: Project) -> None:
        project.write(
            "conftest.py",
            """
            import os

            def pytest_runtest_logstart(nodeid): os.environ["CURRENT_CASE"] = nodeid

            def pytest_runtest_logreport(report): seen.append(report.when)

            seen = []

            def pytest_sessionfinish(session): open("log", "w").write(f"{seen}")
            """,
        )
        project.write("test_it.py", "import os\ndef test_a(): os.abort()\n")
        project.tach("-n", "1").expect(1, crashed=1)


class TestOnlyListening:
    """Hooks that share nothing with the tests are called in one process, as ever."""

    @WORKERS
    def test_a_line_for_each(self, project: Project, workers: str) -> None:
        for directory in (".", "one", "two"):
            project.write(
                f"{directory}/conftest.py",
                f"""
                def write(words):
                    with open("log", "a") as file: file.write(f"{directory} {{words}}\\n")

                def pytest_runtest_logstart(nodeid): write(f"start {{nodeid}}")
                def pytest_runtest_logreport(report): write(f"{{report.when}} {{report.nodeid}} {{report.outcome}}")
                def pytest_runtest_logfinish(nodeid): write(f"finish {{nodeid}}")
                """,
            )
            project.write(f"{directory}/test_{directory.strip('.')}it.py", TESTS)
        in_all_modes(same_as_pytest(project, workers), ISOLATED)

    def test_a_reporter_with_a_summary(self, project: Project) -> None:
        project.write(
            "conftest.py",
            """
            outcomes = []

            def pytest_runtest_logreport(report): outcomes.append(f"{report.when} {report.outcome}")

            def pytest_terminal_summary(terminalreporter):
                with open("log", "w") as file: file.write("\\n".join(outcomes))
            """,
        )
        project.write("test_it.py", TESTS)
        in_all_modes(same_as_pytest(project, "2"), ISOLATED)

    @pytest.mark.parametrize("hook", ["logstart(nodeid)", "logreport(report)", "logfinish(nodeid)"])
    def test_one_that_raises(self, project: Project, hook: str) -> None:
        project.write("conftest.py", f"def pytest_runtest_{hook}: raise RuntimeError('what a hook')\n")
        project.write("test_it.py", TESTS)
        theirs = project.pytest()
        result = project.tach("-n", "2").expect(theirs.code)
        assert theirs.code == 3
        assert "RuntimeError: what a hook" in result.out + result.err


@WORKERS
def test_an_adapter_of_an_ide_gets_each_message_once_and_in_order(project: Project, workers: str) -> None:
    """It prints, writes to a socket, and keeps the item at hand to know more than a report tells."""
    project.write(
        "ide_adapter.py",
        """
        import os, socket, sys
        import pytest

        class Adapter:
            def __init__(self):
                self.item = None
                self.started = set()
                self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

            @pytest.hookimpl(tryfirst=True)
            def pytest_runtest_protocol(self, item):
                self.item = item

            def tell(self, message):
                print(f"##service[{message}]", file=sys.__stdout__, flush=True)
                with open("log", "a") as file: file.write(message + "\\n")
                self.socket.sendto(message.encode(), os.environ["ADAPTER"])

            def ensure_started(self, nodeid):
                if nodeid not in self.started:
                    self.started.add(nodeid)
                    self.tell(f"testStarted {nodeid} {self.item.function.__doc__}")

            def pytest_runtest_logstart(self, nodeid): self.ensure_started(nodeid)

            def pytest_runtest_logreport(self, report):
                self.ensure_started(report.nodeid)
                if report.when == "call": self.tell(f"testResult {report.nodeid} {report.outcome}")

            def pytest_runtest_logfinish(self, nodeid): self.tell(f"testFinished {nodeid} of {len(self.started)}")

        def pytest_configure(config): config.pluginmanager.register(Adapter())
        """,
    )
    project.write("test_it.py", TESTS)
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        address = str(project / "adapter")
        listener.bind(address)
        listener.setblocking(False)
        received: list[list[str]] = []
        for run in (project.pytest, project.tach):
            words = ("-p", "ide_adapter", *(("-n", workers) if run == project.tach else ()))
            run(*words, env={"ADAPTER": address, "PYTHONPATH": str(project.path)}).expect(1, passed=2, failed=1)
            received.append([listener.recv(1000).decode() for _ in project.log()])
            assert received[-1] == project.log()
            (project / "log").unlink()
        assert received[0] == received[1]
        assert len(received[0]) == 9
        with pytest.raises(BlockingIOError):
            listener.recv(1000)
