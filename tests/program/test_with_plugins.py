"""Plugins from PyPI in an environment of their own: what they do under pytest, they do here."""

from __future__ import annotations

import pytest
from runner import ISOLATED, Project, needs_plugin


@needs_plugin("pytest_mock", "pytest_timeout", "pytest_asyncio", "pytest_django", "hypothesis", "anyio")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_plugins_that_are_merely_installed_change_nothing(plugins_project: Project, workers: str) -> None:
    plugins_project.write(
        "test_it.py",
        """
        import pytest
        @pytest.fixture(scope="module")
        def wide(): return []
        def test_a(wide): wide.append(1)
        def test_b(wide): assert wide == []  # as it would be without the test before
        def test_wrong(): assert [] == [1]
        """,
    )
    report = plugins_project.json("-n", workers, "-p", "no:rerunfailures").expect(1, passed=2, failed=1)
    assert set(report.modes.values()) == {ISOLATED}, report.err


@needs_plugin("pytest_mock")
def test_what_a_plugins_fixture_patches_is_put_back(plugins_project: Project) -> None:
    plugins_project.write(
        "test_it.py",
        """
        import os
        def test_patched(mocker):
            listed = mocker.patch("os.getcwd", return_value="here")
            assert os.getcwd() == "here"
            listed.assert_called_once_with()
        def test_after(mocker):
            assert os.getcwd() != "here"
            mocker.Mock().assert_called_once()
        """,
    )
    theirs = plugins_project.pytest().expect(1, passed=1, failed=1)
    ours = plugins_project.tach().expect(1, **theirs.counts)
    assert "Expected 'mock' to have been called once. Called 0 times." in ours.out
