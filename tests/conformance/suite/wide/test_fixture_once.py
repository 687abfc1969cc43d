"""A wide fixture hands out one object: what it was at set-up is what every test sees, in the same process."""

import itertools

import pytest
from eventlog import lifetime

SERIAL = itertools.count()


@pytest.fixture(scope="module")
def serial():
    with lifetime("module", "test_fixture_once", "serial"):
        yield next(SERIAL)


@pytest.mark.parametrize("number", range(40))
def test_same_serial(serial, number):
    assert serial == 0


def test_identity(serial, request):
    assert request.getfixturevalue("serial") is serial
