"""A file name that exists twice."""


def test_name():
    assert __file__.endswith("one/test_same.py")


def test_fails():
    value = "one"
    assert value == "three"
