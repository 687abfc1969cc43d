"""Autouse fixtures of every scope run before the others, in scope order."""

import pytest

ORDER = []


@pytest.fixture(scope="module", autouse=True)
def auto_module():
    ORDER.append("module")


@pytest.fixture(scope="class", autouse=True)
def auto_class(request):
    ORDER.append(f"class:{request.cls.__name__ if request.cls else None}")


@pytest.fixture(autouse=True)
def auto_function(request):
    ORDER.append("function")


@pytest.fixture
def asked_for():
    ORDER.append("asked")


def test_order(asked_for):
    assert ORDER[0] == "module"
    assert ORDER[-2:] == ["function", "asked"]


class TestInClass:
    @pytest.fixture(autouse=True)
    def auto_method(self):
        self.prepared = True

    def test_attribute(self):
        assert self.prepared
        assert "class:TestInClass" in ORDER


@pytest.mark.usefixtures("asked_for")
class TestUseFixtures:
    def test_used(self):
        assert ORDER[-1] == "asked"
