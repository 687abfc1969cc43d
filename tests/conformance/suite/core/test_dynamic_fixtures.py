"""Fixtures asked for at run time, of every scope."""

import pytest
from eventlog import lifetime

OWNER = "test_dynamic_fixtures"


@pytest.fixture(scope="module")
def late_module():
    with lifetime("module", OWNER, "late_module") as value:
        yield value


@pytest.fixture
def late_function():
    print("late set-up")
    yield "function"
    print("late teardown")


@pytest.fixture
def chooses(request):
    return request.getfixturevalue(request.node.name.removeprefix("test_"))


def test_function(request):
    assert request.getfixturevalue("late_function") == "function"


def test_module(request):
    assert request.getfixturevalue("late_module") == "late_module"


def test_module_again(request, late_module):
    assert request.getfixturevalue("late_module") is late_module


def test_session(request):
    assert request.getfixturevalue("session_on_session") == "session_on_session"


def test_late_function(chooses):
    assert chooses == "function"


def test_missing(request):
    with pytest.raises(pytest.FixtureLookupError):
        request.getfixturevalue("no_such_fixture")


def test_missing_fails(request):
    request.getfixturevalue("no_such_fixture")


@pytest.mark.parametrize("name", ["late_function", "late_module"])
def test_by_parameter(request, name):
    assert request.getfixturevalue(name)


def test_finalizer(request):
    request.addfinalizer(lambda: print("finalizer of the test"))
