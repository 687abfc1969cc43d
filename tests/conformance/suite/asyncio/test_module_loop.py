"""Coroutines that share the loop of their module, and a server that lives on it."""

import asyncio
import sys

import pytest
import pytest_asyncio

# The argument came with pytest-asyncio 0.24; the older one for old pytest has no loop scopes.
SCOPED = tuple(map(int, pytest_asyncio.__version__.split(".")[:2])) >= (0, 24)

pytestmark = [
    pytest.mark.asyncio(loop_scope="module") if SCOPED else pytest.mark.asyncio(scope="module"),
    pytest.mark.skipif(sys.platform == "win32", reason="needs Unix"),
]

LOOPS = []

if SCOPED:
    module_fixture = pytest_asyncio.fixture(scope="module", loop_scope="module")
else:
    module_fixture = pytest_asyncio.fixture(scope="module")


if not SCOPED:

    @pytest.fixture(scope="module")
    def event_loop():
        loop = asyncio.new_event_loop()
        yield loop
        loop.close()


@module_fixture
async def echo_server():
    seen = []

    async def serve(reader, writer):
        line = await reader.readline()
        seen.append(line)
        writer.write(line)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname(), seen
    server.close()


async def test_first():
    LOOPS.append(asyncio.get_running_loop())


async def test_same_loop():
    assert LOOPS == [asyncio.get_running_loop()]


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_echo(echo_server, number):
    address, seen = echo_server
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"%d\n" % number)
    assert await reader.readline() == b"%d\n" % number
    writer.close()
    assert len(seen) == number
