"""A file name that exists twice."""


def test_name():
    assert __file__.endswith("two/test_same.py")


def test_fails():
    value = "two"
    assert value == "three"
