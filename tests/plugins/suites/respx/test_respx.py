import httpx


def test_right(respx_mock):
    respx_mock.get("https://example.org/").mock(return_value=httpx.Response(204))
    assert httpx.get("https://example.org/").status_code == 204


def test_wrong(respx_mock):
    respx_mock.get("https://example.org/never").mock(return_value=httpx.Response(204))
