"""Set-up in pytest's xunit style, at every level."""

from eventlog import note

OWNER = "test_xunit"
STATE = []


def setup_module(module):
    note("module", OWNER, "setup", "module")
    module.STATE.append("module")


def teardown_module(module):
    note("module", OWNER, "finalise", "module")


def setup_function(function):
    STATE.append(function.__name__)


def teardown_function(function):
    STATE.remove(function.__name__)


def test_function():
    assert STATE == ["module", "test_function"]


def test_function_again():
    assert STATE == ["module", "test_function_again"]


class TestClass:
    @classmethod
    def setup_class(cls):
        note("class", f"{OWNER}.TestClass", "setup", "class")
        cls.steps = ["class"]

    @classmethod
    def teardown_class(cls):
        note("class", f"{OWNER}.TestClass", "finalise", "class")

    def setup_method(self, method):
        self.own = method.__name__

    def teardown_method(self, method):
        print("teardown of", method.__name__)

    def test_one(self):
        assert (self.steps, self.own) == (["class"], "test_one")

    def test_two(self):
        assert self.own == "test_one"
