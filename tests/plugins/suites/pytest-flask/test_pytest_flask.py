import pytest
from flask import Flask


@pytest.fixture
def app():
    app = Flask("app")
    app.add_url_rule("/", "hello", lambda: "hello")
    return app


def test_right(client):
    assert client.get("/").data == b"hello"


def test_wrong(client):
    assert client.get("/nothing").status_code == 200


def test_plain():
    pass
