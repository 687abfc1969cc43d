"""Other names for tests."""

import pytest


def check_function():
    pass


def test_not_a_test():
    raise AssertionError("must not run")


class CheckClass:
    def check_method(self):
        assert 0

    @pytest.mark.xfail(reason="strict by the ini file")
    def check_strict(self):
        pass
