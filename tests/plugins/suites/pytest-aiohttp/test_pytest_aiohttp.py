from aiohttp import web


async def hello(request):
    return web.Response(text="hello")


async def test_right(aiohttp_client):
    app = web.Application()
    app.router.add_get("/", hello)
    client = await aiohttp_client(app)
    answer = await client.get("/")
    assert await answer.text() == "hello"


async def test_wrong(aiohttp_client):
    client = await aiohttp_client(web.Application())
    assert (await client.get("/")).status == 200


def test_plain():
    pass
