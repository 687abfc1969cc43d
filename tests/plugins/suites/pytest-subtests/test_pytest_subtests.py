def test_right(subtests):
    for number in range(3):
        with subtests.test(number=number):
            assert number < 3


def test_wrong(subtests):
    for number in range(3):
        with subtests.test("some", number=number):
            assert number != 1


def test_plain():
    pass
