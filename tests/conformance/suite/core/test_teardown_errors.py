"""Errors in teardown and set-up, at function, class and module scope: charged to the test that pytest charges."""

import pytest


@pytest.fixture
def function_teardown():
    yield
    raise RuntimeError("function teardown")


@pytest.fixture
def function_setup():
    raise RuntimeError("function set-up")


@pytest.fixture(scope="class")
def class_teardown():
    yield
    raise RuntimeError("class teardown")


@pytest.fixture(scope="class")
def class_setup():
    raise RuntimeError("class set-up")


@pytest.fixture(scope="module")
def module_setup():
    raise RuntimeError("module set-up")


@pytest.fixture(scope="module")
def module_teardown():
    yield
    raise RuntimeError("module teardown")


@pytest.fixture
def two_teardowns(function_teardown):
    yield
    raise ValueError("the second teardown")


def test_teardown(function_teardown):
    pass


def test_teardown_and_failure(function_teardown):
    raise AssertionError("the call fails too")


def test_two_teardowns(two_teardowns):
    pass


def test_setup(function_setup):
    raise AssertionError("must not run")


class TestClassTeardown:
    def test_one(self, class_teardown):
        pass

    def test_two(self, class_teardown):
        pass


class TestClassSetup:
    def test_one(self, class_setup):
        raise AssertionError("must not run")

    def test_two(self, class_setup):
        raise AssertionError("must not run")


def test_module_setup(module_setup):
    raise AssertionError("must not run")


def test_module_setup_again(module_setup):
    raise AssertionError("must not run")


@pytest.mark.parametrize("number", [1, 2])
def test_module_teardown(module_teardown, number):
    pass


def test_last_of_module():
    pass
