def test_third():
    pass


def test_charged():
    pass
