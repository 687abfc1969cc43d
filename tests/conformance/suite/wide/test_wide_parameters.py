"""Parameters on wide fixtures reorder the tests so that each value is set up once."""

import pytest
from eventlog import lifetime

OWNER = "test_wide_parameters"


@pytest.fixture(scope="module", params=["m1", "m2"])
def per_module(request):
    with lifetime("module", OWNER, request.param):
        yield request.param


@pytest.fixture(scope="class", params=["c1", "c2"])
def per_class(request):
    with lifetime("class", f"{OWNER}.{request.cls.__name__}", request.param):
        yield request.param


def test_first(per_module):
    assert per_module in ("m1", "m2")


def test_second(per_module):
    assert per_module in ("m1", "m2")


@pytest.mark.parametrize("narrow", [1, 2])
def test_with_narrow(per_module, narrow):
    pass


class TestWide:
    def test_one(self, per_class):
        pass

    def test_two(self, per_class, per_module):
        pass


@pytest.mark.parametrize("mark_wide", ["x", "y"], scope="module")
class TestMarkedWide:
    def test_one(self, mark_wide):
        pass

    def test_two(self, mark_wide):
        pass
