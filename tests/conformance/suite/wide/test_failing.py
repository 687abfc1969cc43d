"""Wide fixtures around tests and teardowns that fail: still once each, in order."""

import pytest
from eventlog import lifetime

OWNER = "test_failing"


@pytest.fixture(scope="module", params=["m1", "m2"])
def per_module(request):
    with lifetime("module", OWNER, request.param):
        yield request.param


@pytest.fixture(scope="module")
def breaks_late(per_module):
    with lifetime("module", OWNER, f"breaks_late-{per_module}"):
        yield
    raise RuntimeError("module teardown")


@pytest.fixture(scope="class")
def breaks_early():
    with lifetime("class", OWNER, "breaks_early"):
        raise RuntimeError("class set-up")


def test_fails(per_module):
    assert per_module == "m2"


def test_breaks_late(breaks_late):
    pass


class TestClass:
    @pytest.mark.parametrize("number", [1, 2])
    def test_breaks_early(self, breaks_early, number):
        raise AssertionError("must not run")


def test_skips(per_module):
    pytest.skip("at run time")


@pytest.mark.xfail(reason="as expected")
def test_xfails(per_module):
    assert 0
