"""The second module of the same package shares its fixtures."""


def test_package(package_only):
    pass


def test_value(package_value):
    pass


def test_error_later(package_teardown_error):
    pass


def test_assertion_in_helper():
    from .helper import insist

    insist(41)
