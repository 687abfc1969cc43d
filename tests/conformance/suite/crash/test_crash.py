"""Tests that end their process, among many that do not."""

import os
import signal
import sys

import pytest


@pytest.mark.parametrize("number", range(100))
def test_neighbour(number):
    assert number >= 0


def test_segfault():
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize("name", ["SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGKILL"])
def test_signal(name):
    os.kill(os.getpid(), getattr(signal, name))


def test_leaves():
    os._exit(3)


def test_leaves_with_success():
    os._exit(0)


@pytest.mark.parametrize("number", range(100))
def test_later_neighbour(number):
    assert number < 100


def test_fails():
    raise AssertionError("an ordinary failure")


@pytest.fixture
def crashes_in_setup():
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.fixture
def crashes_in_teardown():
    yield
    os.kill(os.getpid(), signal.SIGSEGV)


def test_setup(crashes_in_setup):
    pass


def test_teardown(crashes_in_teardown):
    pass


@pytest.mark.skip(reason="an ordinary skip")
def test_skipped():
    sys.exit("must not run")
