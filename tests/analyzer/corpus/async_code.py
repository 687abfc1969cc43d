import asyncio
import pytest


@pytest.fixture(scope="session")
async def server():
    async with asyncio.timeout(1) as t, open_it() as (a, b):
        yield await asyncio.start_server(a, b)


async def test_it(server):
    async for line in server:
        await asyncio.gather(*[x async for x in line if await x])
    return [await y for y in server]
