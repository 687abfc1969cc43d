import pytest


@pytest.fixture(scope="session")
def settings_of_suite():
    return {"name": "neutral"}


@pytest.fixture(scope="module")
def numbers():
    return list(range(5))
