"""The first module of a package."""

from . import helper


def test_package(package_only, package_resource):
    assert package_only == "package_only"


def test_value(package_value):
    assert package_value != "p2"


def test_relative_import():
    assert helper.answer() == 42
