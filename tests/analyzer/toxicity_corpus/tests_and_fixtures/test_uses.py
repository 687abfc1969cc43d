import pytest

from helpers import make_server


@pytest.fixture(scope="class", name="renamed")
def _made():
    return make_server()


@pytest.fixture(scope="class")
async def later():
    import asyncio
    yield await asyncio.start_server(None)


class TestIt:
    @pytest.fixture(scope="class")
    def own(self):
        return self.make()

    def make(self):
        return make_server()

    def test_one(self, server, renamed, own, later): ...


@pytest.mark.parametrize("value", [make_server])
def test_two(value):
    def inner():
        make_server()

    inner()
