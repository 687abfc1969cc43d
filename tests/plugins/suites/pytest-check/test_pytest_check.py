from pytest_check import check


def test_right():
    check.equal(1, 1)


def test_wrong():
    check.equal(1, 2)
    check.is_in(3, [1, 2])


def test_plain():
    pass
