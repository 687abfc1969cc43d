"""A conftest for a directory: overrides, hooks for its own tests only."""

import pytest


@pytest.fixture
def overridden(overridden):
    return f"{overridden}/nested"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        report.sections.append(("Conformance notes", f"noted for {item.name}"))
        report.user_properties.append(("noted", item.name))


def pytest_runtest_setup(item):
    if "refused" in item.keywords:
        pytest.skip("refused by the directory's conftest")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.name == "test_marked_by_hook":
            item.add_marker(pytest.mark.xfail(reason="marked by a hook"))
    inner = [item for item in items if item.name == "test_moved_to_front"]
    items[:] = inner + [item for item in items if item not in inner]
