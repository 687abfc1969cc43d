import functools
import pytest
from unittest import mock


def twice(times, /, *, sure=True):
    return lambda f: functools.wraps(f)(f)


@pytest.fixture(scope="module", params=[1, "two", pytest.param(3, id="three")], ids=str)
def disk(request):
    yield request.param


@pytest.mark.parametrize("a,b", [(i, i * 2) for i in range(3)], ids=lambda v: f"<{v}>")
@pytest.mark.skipif("sys.platform == 'win32'", reason="x")
@mock.patch("os.getcwd")
@twice(2)
def test_it(getcwd, a, b, disk): ...


@(lambda f: f)
class TestAll:
    pytestmark = [pytest.mark.slow]

    @staticmethod
    @pytest.mark.usefixtures("disk")
    def test_one(): ...
