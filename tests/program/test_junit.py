"""`--junit-xml`: equal to pytest's in test cases, class names, skips, failures, errors, properties and output."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest
from runner import Project

SUITE = """
import sys
import pytest


@pytest.fixture
def broken(): raise LookupError("no set-up")

@pytest.fixture
def breaks_later():
    yield
    raise LookupError("no teardown")

class TestGroup:
    def test_pass(self): print("to stdout"); print("to stderr", file=sys.stderr)

def test_fail(): print("before"); assert 1 == 2
def test_error(broken): pass
def test_both(breaks_later): pass
def test_fails_twice(breaks_later): assert False
def test_skip(): pytest.skip("not now")
@pytest.mark.skip(reason="never")
def test_skip_mark(): pass
@pytest.mark.xfail(reason="known")
def test_xfail(): assert False
@pytest.mark.xfail(strict=True)
def test_strict(): pass
def test_property(record_property): record_property("answer", 42); record_property("answer", [1])
@pytest.mark.filterwarnings("ignore")
def test_attribute(record_xml_attribute): record_xml_attribute("assertions", "3")
@pytest.mark.parametrize("value", ["a<b>&\\"", "\\x00\\x1b", "ü"])
def test_text(value): print(value); assert value == ""
"""


def cases(text: str) -> list[tuple[object, ...]]:
    """Everything in the file but times, time stamps and host."""

    def plain(element: ElementTree.Element) -> tuple[object, ...]:
        attributes = {k: v for k, v in element.attrib.items() if k not in ("time", "timestamp", "hostname")}
        content = re.sub(r"0x[0-9a-f]+", "0x", (element.text or "").strip())
        return (element.tag, sorted(attributes.items()), content, [plain(child) for child in element])

    return [plain(suite) for suite in ElementTree.fromstring(text).iter("testsuite")]


@pytest.mark.parametrize("mode", ["fork", "shared"])
@pytest.mark.parametrize("logging", ["no", "all", "system-out"])
def test_equal_to_pytests(project: Project, mode: str, logging: str) -> None:
    project.write("test_it.py", SUITE)
    words = ["-p", "no:randomly", "-o", f"junit_logging={logging}"]
    project.pytest(*words, "--junit-xml=theirs.xml")
    project.tach(*words, "--mode", mode, "--junit-xml=ours.xml").expect(1)
    theirs, ours = cases((project / "theirs.xml").read_text()), cases((project / "ours.xml").read_text())
    assert ours == theirs
    assert len(theirs[0][3]) == 15  # type: ignore[arg-type]


def test_the_legacy_family(project: Project) -> None:
    project.write("test_it.py", SUITE)
    words = ["-o", "junit_family=xunit1"]
    project.pytest(*words, "--junitxml", "theirs.xml")
    project.tach(*words, "--junitxml", "ours.xml").expect(1)
    assert cases((project / "ours.xml").read_text()) == cases((project / "theirs.xml").read_text())


def test_a_crash_is_a_failure_with_its_signal(project: Project) -> None:
    project.write("test_it.py", "import os\ndef test_dies(): os.abort()\ndef test_a(): pass\n")
    project.tach("--junit-xml=ours.xml").expect(1)
    suite = ElementTree.parse(project / "ours.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "SIGABRT" in str(failure.get("message")) + str(failure.text)


@pytest.mark.parametrize("scope", ["function", "module", "session"])
def test_suite_properties_of_fixtures(project: Project, scope: str) -> None:
    project.write(
        "test_it.py",
        f"""
        import pytest

        @pytest.fixture(scope="{scope}")
        def described(record_testsuite_property): record_testsuite_property("build", 77)

        def test_a(described): pass
        """,
    )
    project.pytest("--junit-xml=theirs.xml").expect(0)
    project.tach("--junit-xml=ours.xml").expect(0)
    theirs, ours = cases((project / "theirs.xml").read_text()), cases((project / "ours.xml").read_text())
    assert "build" in str(theirs)
    assert ours == theirs
