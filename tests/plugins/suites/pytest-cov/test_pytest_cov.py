import ours


def test_right():
    assert ours.sign(1) == 1


def test_wrong():
    assert ours.sign(-1) == 1


def test_plain():
    pass
