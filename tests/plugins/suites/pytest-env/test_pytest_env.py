import os


def test_right():
    assert os.environ["FROM_INI"] == "value"
    os.environ["FROM_INI"] = "changed"


def test_wrong():
    assert os.environ["FROM_INI"] == "other"
