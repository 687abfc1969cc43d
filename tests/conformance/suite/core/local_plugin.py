"""A plugin of the suite, loaded by pytest_plugins: a new hook, an implementation, a fixture, an option."""

import pytest


class NewHooks:
    """The hooks this plugin adds."""

    @pytest.hookspec(firstresult=True)
    def pytest_conformance_name(self, config):
        """Name the session."""


def pytest_addhooks(pluginmanager):
    pluginmanager.add_hookspecs(NewHooks)


def pytest_addoption(parser):
    parser.addoption("--plugin-level", type=int, default=3)


@pytest.hookimpl(trylast=True)
def pytest_conformance_name(config):
    return "default name"


@pytest.fixture(scope="session")
def session_name(pytestconfig):
    return pytestconfig.hook.pytest_conformance_name(config=pytestconfig)


@pytest.fixture
def plugin_level(pytestconfig):
    return pytestconfig.getoption("plugin_level")
