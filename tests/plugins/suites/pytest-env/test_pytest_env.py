import os


def test_right():
    assert os.environ["FROM_INI"] == "value"


def test_wrong():
    assert os.environ["FROM_INI"] == "other"
