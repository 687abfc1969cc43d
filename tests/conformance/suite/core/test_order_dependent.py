"""Tests that lean on what an earlier one left: under pytest they pass, so they must pass."""

import pytest

SEEN = []


class TestScenario:
    account = None

    def test_a_open(self):
        type(self).account = ["opened"]

    def test_b_use(self):
        assert self.account == ["opened"]
        self.account.append("used")

    def test_c_close(self):
        assert self.account == ["opened", "used"]


def test_leave():
    SEEN.append(1)


def test_find():
    assert SEEN == [1]


class TestCounter:
    count = 0

    @pytest.mark.parametrize("expected", [1, 2, 3])
    def test_counts(self, expected):
        TestCounter.count += 1
        assert TestCounter.count == expected


class TestIncrementalFailure:
    failed = False

    def test_first(self):
        TestIncrementalFailure.failed = True
        raise AssertionError("the scenario breaks here")

    def test_second(self):
        if self.failed:
            pytest.xfail("an earlier step failed")

    def test_third(self):
        if self.failed:
            pytest.skip("an earlier step failed")
