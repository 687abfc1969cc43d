from pytest_cases import fixture, parametrize_with_cases


def case_one():
    return 1


def case_two():
    return 2


@fixture
def offset():
    return 1


@parametrize_with_cases("value", cases=".")
def test_right(value, offset):
    assert value + offset in (2, 3)


@parametrize_with_cases("value", cases=".")
def test_wrong(value):
    assert value == 1
