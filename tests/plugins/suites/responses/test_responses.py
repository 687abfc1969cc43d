import requests
import responses


@responses.activate
def test_right():
    responses.get("https://example.org/", json={"a": 1})
    assert requests.get("https://example.org/").json() == {"a": 1}


@responses.activate
def test_wrong():
    requests.get("https://example.org/other")
