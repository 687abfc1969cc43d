"""Outcomes that the test itself asks for while it runs."""

import unittest

import pytest


def test_skip():
    pytest.skip("decided inside")


def test_skip_without_reason():
    pytest.skip()


def test_fail():
    pytest.fail("on purpose")


def test_fail_without_trace():
    pytest.fail("just the message", pytrace=False)


def test_xfail():
    pytest.xfail("gave up")


def test_importorskip():
    pytest.importorskip("a_module_that_does_not_exist")


def test_importorskip_version():
    pytest.importorskip("pytest", minversion="1000")


def test_unittest_skip():
    raise unittest.SkipTest("as unittest does")


@pytest.fixture
def skips():
    pytest.skip("in the fixture")


def test_skip_in_fixture(skips):
    raise AssertionError("must not run")


@pytest.fixture
def skips_late():
    yield
    pytest.skip("in teardown")


def test_skip_in_teardown(skips_late):
    pass


@pytest.fixture(scope="module")
def wide_skip():
    pytest.skip("for all")


@pytest.mark.parametrize("number", [1, 2])
def test_skip_in_wide_fixture(wide_skip, number):
    raise AssertionError("must not run")
