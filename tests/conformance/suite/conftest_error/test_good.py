"""The file beside it."""


def test_good():
    pass
