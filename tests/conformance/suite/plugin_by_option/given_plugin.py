"""A plugin given with -p."""

import pytest


def pytest_addoption(parser):
    parser.addoption("--given", default="nothing")


@pytest.fixture
def given(request):
    return request.config.getoption("--given")


def pytest_runtest_setup(item):
    if item.get_closest_marker("only_with_given") and item.config.getoption("--given") == "nothing":
        pytest.skip("nothing given")


def pytest_configure(config):
    config.addinivalue_line("markers", "only_with_given: needs --given")
