def test_right(benchmark):
    assert benchmark(sum, [1, 2]) == 3


def test_wrong(benchmark):
    assert benchmark(sum, [1, 2]) == 4


def test_plain():
    pass
