"""pytest-asyncio and anyio: a loop for a test is rewound with it, a wider one lives on in a layer of its own."""

from __future__ import annotations

import pytest
from runner import ISOLATED, Project, needs_plugin

ASYNCIO = ("-p", "no:rerunfailures")


@needs_plugin("pytest_asyncio")
@pytest.mark.parametrize("words", [["-n", "1"], ["-n", "2", "--asyncio-mode=auto"]], ids=" ".join)
def test_a_loop_for_each_test(plugins_project: Project, words: list[str]) -> None:
    plugins_project.write(
        "test_it.py",
        """
        import asyncio
        import pytest, pytest_asyncio

        left = []

        @pytest_asyncio.fixture
        async def number():
            await asyncio.sleep(0)
            yield 42
            left.append("number")

        @pytest.mark.asyncio
        async def test_first(number):
            assert number == 42
            left.append(asyncio.get_running_loop())

        def test_sync(): assert left == []
        def test_uses_async_fixture(number): assert number == 42 and left == []

        @pytest.mark.asyncio
        async def test_wrong(number): assert number == 43
        """,
    )
    for _ in range(2):  # the second run knows what the first one saw
        report = plugins_project.json(*ASYNCIO, *words).expect(1, passed=3, failed=1)
        assert set(report.modes.values()) == {ISOLATED}, report


WIDE_LOOPS = """
import asyncio
import pytest, pytest_asyncio

loops = {}

@pytest_asyncio.fixture(scope="SCOPE", loop_scope="SCOPE")
async def opened():
    with open("log", "a") as file: file.write("opened\\n")
    yield asyncio.get_running_loop()
    with open("log", "a") as file: file.write("closed\\n")

@pytest.mark.asyncio(loop_scope="SCOPE")
class TestWide:
    async def test_one(self, opened): assert opened is asyncio.get_running_loop()
    async def test_two(self, opened): assert opened is asyncio.get_running_loop()

    @pytest.mark.asyncio(loop_scope="function")
    async def test_other_loop(self, opened): assert opened is not asyncio.get_running_loop()

    async def test_wrong(self, opened): assert opened is None

def test_after(): pass
"""


@needs_plugin("pytest_asyncio")
@pytest.mark.parametrize("scope", ["class", "module", "session"])
def test_a_wider_loop_is_one(plugins_project: Project, scope: str) -> None:
    plugins_project.write("test_before.py", "def test_before(): pass\n")
    plugins_project.write("test_it.py", WIDE_LOOPS.replace("SCOPE", scope))
    plugins_project.write(
        "test_later.py", "left = []\ndef test_dirty(): left.append(1)\ndef test_clean(): assert not left\n"
    )
    for workers in ("1", "2"):
        report = plugins_project.json(*ASYNCIO, "-n", workers).expect(1, passed=7, failed=1)
        assert plugins_project.log() == ["opened", "closed"]
        (plugins_project / "log").unlink()
        assert report.modes["TestWide::test_two"] == "shared"
        isolated = {report.modes[name] for name in ("test_before", "test_dirty", "test_clean")}
        assert isolated == {ISOLATED}, report


@needs_plugin("pytest_asyncio")
def test_a_wide_loop_of_the_first_test_is_not_everybodys(plugins_project: Project) -> None:
    """The plugin's fixture for all tests, of no effect, is made at the same time."""
    plugins_project.write("test_it.py", WIDE_LOOPS.replace("SCOPE", "session"))
    plugins_project.write("test_later.py", "def test_sync(): pass\n")
    report = plugins_project.json(*ASYNCIO, "-n", "2").expect(1, passed=5, failed=1)
    assert report.modes["TestWide::test_two"] == "shared"
    assert (report.modes["test_after"], report.modes["test_sync"]) == (ISOLATED, ISOLATED)


@needs_plugin("anyio", "trio")
def test_anyio_on_each_backend(plugins_project: Project) -> None:
    plugins_project.write(
        "test_it.py",
        """
        import anyio, sniffio
        import pytest

        left = []
        pytestmark = pytest.mark.anyio

        @pytest.fixture
        async def number(anyio_backend_name):
            await anyio.sleep(0)
            yield anyio_backend_name
            left.append(1)

        async def test_first(number):
            assert sniffio.current_async_library() == number
            left.append(2)

        async def test_wrong(number): assert number == "trio" and not left
        def test_sync(): assert not left
        """,
    )
    for workers in ("1", "2"):
        report = plugins_project.json(*ASYNCIO, "-n", workers).expect(1, passed=4, failed=1)
        assert report.outcomes["test_wrong[asyncio]"] == "failed"
        assert set(report.modes.values()) == {ISOLATED}, report
