"""A session fixture that fails at its end: the last test is charged."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def session_teardown():
    yield
    raise RuntimeError("session teardown")
