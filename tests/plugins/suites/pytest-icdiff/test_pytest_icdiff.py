def test_right():
    assert {"a": 1} == {"a": 1}


def test_wrong():
    assert {"a": 1, "b": [1, 2, 3]} == {"a": 1, "b": [1, 2, 4]}
