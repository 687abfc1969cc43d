"""pytest's own fixtures."""

import os
import sys
import warnings

import pytest


def test_monkeypatch(monkeypatch, tmp_path):
    monkeypatch.setenv("CONFORMANCE", "1")
    monkeypatch.setattr(os, "sep", "|")
    monkeypatch.setitem(sys.modules, "invented", os)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert (os.environ["CONFORMANCE"], os.sep, os.getcwd()) == ("1", "|", str(tmp_path))


def test_monkeypatch_is_undone():
    assert "CONFORMANCE" not in os.environ
    assert os.sep == "/"
    assert "invented" not in sys.modules


def test_recwarn(recwarn):
    warnings.warn("seen", UserWarning)
    assert [str(entry.message) for entry in recwarn] == ["seen"]


def test_tmp_path(tmp_path):
    assert tmp_path.is_dir() and not list(tmp_path.iterdir())
    assert tmp_path.name == "test_tmp_path0"
    (tmp_path / "file").write_text("x")


@pytest.mark.parametrize("name", ["a", "b/c", "d" * 60])
def test_tmp_path_name(tmp_path, name):
    assert tmp_path.name.startswith("test_tmp_path_name")


def test_tmp_path_is_fresh(tmp_path):
    assert not list(tmp_path.iterdir())


def test_tmp_path_in_failure(tmp_path):
    assert str(tmp_path) == "elsewhere"


def test_tmp_path_factory(tmp_path_factory, tmp_path):
    directory = tmp_path_factory.mktemp("named")
    assert directory.name.startswith("named")
    assert directory.parent == tmp_path.parent == tmp_path_factory.getbasetemp()


@pytest.fixture(scope="module")
def shared_directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("shared")
    (directory / "data").write_text("kept")
    return directory


@pytest.mark.parametrize("number", range(3))
def test_shared_directory(shared_directory, number):
    assert (shared_directory / "data").read_text() == "kept"


def test_request(request, pytestconfig):
    node = request.node
    assert node.nodeid == "test_builtin_fixtures.py::test_request"
    assert (request.function.__name__, request.cls, request.module.__name__) == (
        "test_request",
        None,
        __name__,
    )
    assert request.config is pytestconfig
    assert request.scope == "function"
    assert "request" in request.fixturenames


def test_request_param_missing(request):
    assert request.param is None


def test_cache(cache):
    cache.set("conformance/value", {"a": [1, 2]})
    assert cache.get("conformance/value", None) == {"a": [1, 2]}
    assert cache.mkdir("conformance").is_dir()


def test_session_attributes(request):
    assert request.session.testscollected >= 1
    assert request.session.items[0].session is request.session


def test_current_test():
    assert os.environ["PYTEST_CURRENT_TEST"] == "test_builtin_fixtures.py::test_current_test (call)"


def test_options(colour, plugin_level, session_name):
    assert (colour, plugin_level, session_name) == ("grey", 3, "default name")


def test_doctest_namespace(doctest_namespace):
    assert "namespaced" not in doctest_namespace
