from hypothesis import given, settings
from hypothesis import strategies as st


@given(st.integers(), st.integers())
def test_right(a, b):
    assert a + b == b + a


@settings(database=None, derandomize=True)
@given(st.integers())
def test_wrong(a):
    assert a < 10


def test_plain():
    assert True
