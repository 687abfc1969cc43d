"""More of them, in a directory."""


def test_alpha():
    pass


def test_zeta():
    pass
