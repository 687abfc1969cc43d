def test_plain():
    pass


def test_wrong():
    assert False
