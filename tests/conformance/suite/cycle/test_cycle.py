"""Fixtures that need each other, and a scope that is too narrow."""

import pytest


@pytest.fixture
def first(second):
    pass


@pytest.fixture
def second(first):
    pass


@pytest.fixture
def own(own):
    pass


@pytest.fixture
def narrow():
    pass


@pytest.fixture(scope="module")
def wide(narrow):
    pass


def test_cycle(first):
    pass


def test_own(own):
    pass


def test_scope_mismatch(wide):
    pass


def test_after():
    pass
