"""A conftest below a conftest."""

import pytest


@pytest.fixture
def overridden(overridden):
    return f"{overridden}/inner"


def pytest_ignore_collect(collection_path):
    return True if collection_path.name == "test_ignored.py" else None


def pytest_runtest_call(item):
    print("called by the innermost conftest")
