"""Every scope, set up lazily, finalised in reverse order, each exactly once."""

import pytest
from eventlog import lifetime, note

OWNER = "test_fixture_scopes"


@pytest.fixture(scope="module")
def module_resource(session_resource):
    with lifetime("module", OWNER, "module_resource") as value:
        yield value


@pytest.fixture(scope="module")
def module_on_module(module_resource, package_resource):
    with lifetime("module", OWNER, "module_on_module") as value:
        yield value


@pytest.fixture(scope="class")
def class_resource(module_resource, request):
    with lifetime("class", f"{OWNER}.{request.cls.__name__}", "class_resource") as value:
        yield value


@pytest.fixture
def function_resource(module_on_module, request):
    note("module", OWNER, "setup", f"function:{request.node.name}")
    yield
    note("module", OWNER, "finalise", f"function:{request.node.name}")


def test_module(module_resource):
    assert module_resource == "module_resource"


def test_chain(function_resource, session_on_session):
    pass


class TestFirst:
    def test_one(self, class_resource):
        pass

    def test_two(self, class_resource, function_resource):
        pass


class TestSecond:
    def test_one(self, class_resource):
        pass


def test_last(function_resource, module_resource):
    pass
