import httpx


def test_right(httpx_mock):
    httpx_mock.add_response(json={"a": 1})
    assert httpx.get("https://example.org/").json() == {"a": 1}


def test_unused(httpx_mock):
    httpx_mock.add_response(url="https://example.org/never")


def test_wrong(httpx_mock):
    httpx_mock.add_response(status_code=404)
    assert httpx.get("https://example.org/").status_code == 200
