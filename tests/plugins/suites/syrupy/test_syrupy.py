def test_right(snapshot):
    assert {"a": 1} == snapshot


def test_wrong(snapshot):
    assert {"a": 2} == snapshot


def test_plain():
    pass
