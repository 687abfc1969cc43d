"""Classes: inheritance, nesting, mixins, classes that are no tests."""

import pytest


class Base:
    value = 1

    def test_inherited(self):
        assert self.value == 1

    def helper(self):
        return self.value


class TestBase(Base):
    pass


class TestDerived(Base):
    value = 2

    def test_own(self):
        assert self.helper() == 2


class TestOverrides(TestDerived):
    def test_own(self):
        assert self.helper() == 3


class TestOuter:
    class TestInner:
        def test_inner(self):
            pass

        class TestInnermost:
            @pytest.mark.parametrize("x", [1, 2])
            def test_innermost(self, x):
                assert x == 1

    def test_outer(self):
        pass


class TestStatic:
    @staticmethod
    def test_static():
        pass

    @classmethod
    def test_class_method(cls):
        assert cls is TestStatic


class TestWithInit:
    def __init__(self):
        pass

    def test_not_collected(self):
        raise AssertionError("must not run")


class TestDisabled:
    __test__ = False

    def test_not_collected(self):
        raise AssertionError("must not run")


class TestFixtureInClass:
    @pytest.fixture
    def own(self, request):
        return type(request.instance).__name__

    def test_own(self, own):
        assert own == "TestFixtureInClass"
