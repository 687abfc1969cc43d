"""Each plugin gathers while tests run what it tells at the session's end."""

import lib
import pytest


def test_benchmark(benchmark):
    assert benchmark(lib.double, 3) == 6


def test_snapshot(snapshot):
    assert {"a": lib.double(5)} == snapshot


@pytest.mark.parametrize("number", range(5))
def test_plain(number):
    assert lib.double(number) >= number
