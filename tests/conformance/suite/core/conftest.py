"""The root conftest: options, hooks and fixtures that every directory below sees."""

import pytest
from eventlog import lifetime

pytest_plugins = ["local_plugin"]


def pytest_addoption(parser):
    group = parser.getgroup("conformance")
    group.addoption("--colour", default="grey", help="an option of the suite")
    group.addoption("--extra-case", action="append", default=[], help="one more generated case")
    parser.addini("conformance_words", "an ini value of the suite", type="linelist", default=["one", "two"])


def pytest_report_header(config):
    return f"conformance: colour {config.getoption('--colour')}"


def pytest_generate_tests(metafunc):
    if "word" in metafunc.fixturenames:
        metafunc.parametrize("word", metafunc.config.getini("conformance_words"))
    if "extra" in metafunc.fixturenames:
        metafunc.parametrize("extra", ["fixed", *metafunc.config.getoption("--extra-case")])


@pytest.fixture(scope="session")
def session_resource():
    with lifetime("session", "session", "session_resource") as value:
        yield value


@pytest.fixture(scope="session")
def session_on_session(session_resource):
    with lifetime("session", "session", "session_on_session") as value:
        yield value


@pytest.fixture(scope="package")
def package_resource(request):
    with lifetime("package", "package", "package_resource") as value:
        yield value


@pytest.fixture
def overridden():
    return "root"


@pytest.fixture
def colour(request):
    return request.config.getoption("--colour")


@pytest.fixture(scope="session", params=["s1", "s2"])
def session_value(request):
    with lifetime("session", "session_value", request.param):
        yield request.param
