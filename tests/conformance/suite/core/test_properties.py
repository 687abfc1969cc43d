"""Properties and attributes for the XML report."""

import pytest


def test_property(record_property):
    record_property("key", "value")
    record_property("number", 3)


def test_property_and_failure(record_property):
    record_property("key", "kept in failure")
    raise AssertionError("with a property")


@pytest.mark.filterwarnings("ignore::pytest.PytestExperimentalApiWarning")
def test_attribute(record_xml_attribute):
    record_xml_attribute("assertions", "7")
    record_xml_attribute("classname", "renamed.Class")


def test_suite_property(record_testsuite_property):
    record_testsuite_property("ARCH", "any")
    record_testsuite_property("COUNT", 2)


@pytest.fixture
def property_in_teardown(record_property):
    yield
    record_property("late", "teardown")


def test_property_in_teardown(property_in_teardown):
    pass


def test_user_properties(request):
    request.node.user_properties.append(("direct", "added"))
