"""Package scope, in a real package."""

import pytest
from eventlog import lifetime


@pytest.fixture(scope="package")
def package_only():
    with lifetime("package", "package.package_only", "package_only") as value:
        yield value


@pytest.fixture(scope="package", params=["p1", "p2"])
def package_value(request):
    with lifetime("package", "package.package_value", request.param):
        yield request.param
