"""A session fixture with parameters, shared with the other file: all tests of one value come first."""


def test_value(session_value):
    assert session_value in ("s1", "s2")


def test_value_again(session_value):
    assert session_value in ("s1", "s2")
