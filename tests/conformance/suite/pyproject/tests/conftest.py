"""The fixture that the ini file applies everywhere."""

import pytest


@pytest.fixture
def everywhere(request):
    request.node.user_properties.append(("everywhere", "yes"))
