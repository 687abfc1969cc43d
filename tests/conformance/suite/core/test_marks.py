"""Marks that decide, and marks that only describe."""

import sys

import pytest


@pytest.mark.skip
def test_skip_bare():
    raise AssertionError("must not run")


@pytest.mark.skip("positional reason")
def test_skip_positional():
    raise AssertionError("must not run")


@pytest.mark.skipif(sys.version_info >= (3, 0), reason="modern")
def test_skipif_true():
    raise AssertionError("must not run")


@pytest.mark.skipif(False, reason="never")
def test_skipif_false():
    pass


@pytest.mark.skipif("sys.version_info >= (3, 0)")
def test_skipif_string():
    raise AssertionError("must not run")


@pytest.mark.skipif(sys.version_info >= (3, 0), reason="class mark")
class TestSkippedClass:
    def test_one(self):
        raise AssertionError("must not run")


@pytest.mark.tagged("x")
def test_mark_arguments(request):
    assert request.node.get_closest_marker("tagged").args == ("x",)


@pytest.mark.slow
class TestMarkedClass:
    @pytest.mark.tagged("inner")
    def test_inherits(self, request):
        assert {mark.name for mark in request.node.iter_markers()} == {"slow", "tagged"}


@pytest.mark.skipif("undefined_name")
def test_skipif_error():
    pass
