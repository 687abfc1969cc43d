"""A victim among innocent tests, and the one that breaks it for all who run in its process."""

import os

import pytest


@pytest.mark.parametrize("number", range(5))
def test_innocent(number):
    pass


def test_polluter():
    os.environ["CONFORMANCE_POLLUTION"] = "1"


@pytest.mark.parametrize("number", range(5))
def test_bystander(number):
    pass


def test_victim():
    assert os.environ.get("CONFORMANCE_POLLUTION") is None
