import pytest
import trio


@pytest.fixture
async def number():
    await trio.sleep(0)
    yield 1


@pytest.mark.trio
async def test_right(number):
    assert number == 1


@pytest.mark.trio
async def test_wrong(number, nursery):
    assert number == 2


def test_sync():
    pass
