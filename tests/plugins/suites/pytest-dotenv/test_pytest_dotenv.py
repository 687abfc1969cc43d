import os


def test_right():
    assert os.environ["FROM_FILE"] == "value"


def test_wrong():
    assert os.environ["FROM_FILE"] == "other"
