"""Expected failures, kept and broken."""

import pytest


@pytest.mark.xfail
def test_bare():
    assert 0


@pytest.mark.xfail(reason="a reason")
def test_reason():
    assert 0


@pytest.mark.xfail(reason="passes after all")
def test_xpass():
    pass


@pytest.mark.xfail(reason="strictly", strict=True)
def test_strict_kept():
    assert 0


@pytest.mark.xfail(reason="strictly", strict=True)
def test_strict_broken():
    pass


@pytest.mark.xfail(raises=ValueError, reason="only values")
def test_raises_right():
    raise ValueError("right")


@pytest.mark.xfail(raises=ValueError, reason="only values")
def test_raises_wrong():
    raise KeyError("wrong")


@pytest.mark.xfail(run=False, reason="would hang")
def test_not_run():
    raise AssertionError("must not run")


@pytest.mark.xfail(False, reason="not now")
def test_condition_false():
    pass


@pytest.mark.xfail(True, reason="now")
def test_condition_true():
    assert 0


@pytest.fixture
def broken():
    raise RuntimeError("set-up")


@pytest.mark.xfail(reason="set-up is broken")
def test_in_setup(broken):
    pass


@pytest.fixture
def breaks_late():
    yield
    raise RuntimeError("teardown")


@pytest.mark.xfail(reason="teardown is broken")
def test_in_teardown(breaks_late):
    assert 0


@pytest.mark.xfail(reason="teardown is broken, the test is not")
def test_passes_but_teardown(breaks_late):
    pass


def test_mark_added_at_run_time(request):
    request.applymarker(pytest.mark.xfail(reason="added late"))
    assert 0
