"""pytest-django: a database is made once; what holds it decides whether tests that use it are rewound."""

from __future__ import annotations

import pytest
from runner import ISOLATED, Project, needs_plugin

pytestmark = needs_plugin("pytest_django", "django")

SETTINGS = """
SECRET_KEY = "of the suite"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "it.sqlite3", "TEST": {"NAME": FOR_TESTS}}}
USE_TZ = True
"""
CONFTEST = """
import pytest

@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    from django.contrib.auth.models import Group
    with open("log", "a") as log: log.write("set up\\n")
    with django_db_blocker.unblock():
        Group.objects.create(name="of the session")
"""
TESTS = """
import pytest
from django.contrib.auth.models import Group
from django.test import TestCase

@pytest.mark.django_db
@pytest.mark.parametrize("n", range(3))
def test_rolled_back(n):
    Group.objects.create(name="mine")
    assert Group.objects.count() == 2

@pytest.mark.django_db
def test_wrong(): assert Group.objects.count() == 7

def test_without():
    with pytest.raises(RuntimeError, match="Database access not allowed"): Group.objects.count()

class Old(TestCase):
    @classmethod
    def setUpTestData(cls): cls.group = Group.objects.create(name="of the class")
    def test_rename(self):
        self.group.name = "another"
        self.group.save()
    def test_again(self): self.assertEqual(Group.objects.filter(name="of the class").count(), 1)
"""


def write_suite(project: Project, database: str) -> None:
    project.write("pytest.ini", "[pytest]\nDJANGO_SETTINGS_MODULE = settings\npythonpath = .\n")
    project.write("settings.py", SETTINGS.replace("FOR_TESTS", repr(database)))
    project.write("conftest.py", CONFTEST)
    project.write("test_it.py", TESTS)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_database_in_memory_is_rewound(plugins_project: Project, workers: str) -> None:
    write_suite(plugins_project, ":memory:")
    report = plugins_project.json("-n", workers, "-p", "no:rerunfailures").expect(1, passed=6, failed=1)
    assert set(report.modes.values()) == {ISOLATED}, report
    assert plugins_project.log() == ["set up"]


def test_a_database_in_a_file_is_one_workers(plugins_project: Project) -> None:
    write_suite(plugins_project, "test.sqlite3")
    for _ in range(2):
        report = plugins_project.json("-n", "2", "-p", "no:rerunfailures").expect(1, passed=6, failed=1)
        assert plugins_project.log() == ["set up"]
        (plugins_project / "log").unlink()
        assert report.modes["test_wrong"] == "shared"
        assert report.modes["test_without"] == ISOLATED
