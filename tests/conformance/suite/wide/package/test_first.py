"""The first module of a package whose fixtures are set up for both."""


def test_package(package_only, package_resource):
    assert package_only == "package_only"


def test_value(package_value, session_on_session):
    assert package_value in ("p1", "p2")
