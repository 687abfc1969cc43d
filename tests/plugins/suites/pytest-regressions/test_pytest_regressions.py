def test_right(data_regression):
    data_regression.check({"a": 1})


def test_wrong(data_regression):
    data_regression.check({"a": 2})
