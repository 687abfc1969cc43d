import socketserver
import subprocess
import threading

import pytest


@pytest.fixture(scope="session")
def server():
    with socketserver.TCPServer(("", 0), None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def narrow():
    return threading.Thread()


@pytest.fixture(scope="module")
def calm():
    return subprocess.run(["true"])


@pytest.fixture(scope="package")
def indirect(server):
    return server
