"""The other half of test_session_parameters_a."""

import pytest


@pytest.mark.parametrize("number", [1, 2])
def test_value(session_value, number):
    pass


def test_without():
    pass
