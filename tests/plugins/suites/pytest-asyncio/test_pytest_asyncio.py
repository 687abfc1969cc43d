import asyncio

import pytest
import pytest_asyncio


@pytest_asyncio.fixture
async def number():
    yield 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def loop_of_module():
    yield asyncio.get_running_loop()


@pytest.mark.asyncio
async def test_right(number):
    assert number == 1


def test_sync(number):
    assert number == 1


@pytest.mark.asyncio
async def test_wrong(number):
    assert number == 2


@pytest.mark.asyncio(loop_scope="module")
async def test_wide_loop(loop_of_module):
    assert asyncio.get_running_loop() is loop_of_module
