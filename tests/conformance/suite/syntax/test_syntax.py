"""A file that is not Python."""


def test_broken(:
    pass
