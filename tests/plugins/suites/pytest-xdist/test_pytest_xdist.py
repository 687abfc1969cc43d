import pytest


@pytest.mark.parametrize("n", range(6))
def test_right(n, testrun_uid):
    assert testrun_uid


def test_wrong(worker_id):
    assert not worker_id, "it has a name" if worker_id else ""
