import anyio
import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture
async def number():
    await anyio.sleep(0)
    yield 1


async def test_right(number):
    assert number == 1


async def test_wrong(number, anyio_backend_name):
    assert anyio_backend_name == "trio"


def test_sync():
    pass
