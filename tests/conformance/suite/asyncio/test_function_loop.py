"""Coroutines, each on a loop of its own."""

import asyncio

import pytest


@pytest.fixture
async def value():
    await asyncio.sleep(0)
    yield 1
    await asyncio.sleep(0)


async def test_passes(value):
    assert value == 1


async def test_fails(value):
    await asyncio.sleep(0)
    assert value == 2


@pytest.mark.parametrize("number", [1, 2])
async def test_parametrized(number):
    assert await asyncio.sleep(0, number) == number


async def test_task():
    task = asyncio.create_task(asyncio.sleep(0, "done"))
    assert await task == "done"


@pytest.mark.xfail(reason="awaits too long", raises=asyncio.TimeoutError)
async def test_timeout():
    await asyncio.wait_for(asyncio.Event().wait(), 0.01)


def test_plain():
    pass


class TestClass:
    async def test_method(self, value):
        assert value == 1


@pytest.fixture
async def broken_teardown():
    yield
    raise RuntimeError("asynchronous teardown")


async def test_teardown_error(broken_teardown):
    pass
