"""Writes that a wide fixture makes for its tests, and reads of state that nobody changes."""

import random

import pytest

TABLE = {}


@pytest.fixture(scope="module", autouse=True)
def table():
    TABLE.update(ready=True)
    yield
    TABLE.clear()


@pytest.mark.parametrize("number", range(3))
def test_table(number):
    assert TABLE["ready"]


def test_seeded_random():
    random.seed(7)
    assert random.randrange(1000) == 331


def test_table_in_failure():
    assert TABLE == {"ready": False}
