"""Errors in xunit-style set-up and teardown."""


def teardown_module():
    raise RuntimeError("teardown of the module")


class TestSetupClass:
    @classmethod
    def setup_class(cls):
        raise RuntimeError("set-up of the class")

    def test_one(self):
        raise AssertionError("must not run")

    def test_two(self):
        raise AssertionError("must not run")


class TestTeardownClass:
    @classmethod
    def teardown_class(cls):
        raise RuntimeError("teardown of the class")

    def test_one(self):
        pass

    def test_two(self):
        pass


class TestMethods:
    def setup_method(self, method):
        if method.__name__ == "test_setup":
            raise RuntimeError("set-up of the method")

    def teardown_method(self, method):
        if method.__name__ == "test_teardown":
            raise RuntimeError("teardown of the method")

    def test_setup(self):
        raise AssertionError("must not run")

    def test_teardown(self):
        pass

    def test_neither(self):
        pass
