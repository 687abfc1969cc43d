"""A child process that a session fixture keeps talking to."""

import pytest


@pytest.mark.parametrize("number", range(1, 5))
def test_counts(counting_child, number):
    assert counting_child() == number


def test_is_still_the_same(counting_child):
    assert counting_child() == 5
