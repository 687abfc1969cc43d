import pytest

calls = []


@pytest.mark.flaky(reruns=2)
def test_flaky():
    calls.append(1)
    assert len(calls) == 2


@pytest.mark.flaky(reruns=1)
def test_wrong():
    assert False


def test_right():
    pass
