"""A server in a thread of the test process, for the whole module: half of every conversation is on its side."""

import socket
import socketserver
import threading

import pytest
from eventlog import lifetime


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.server.requests.append(line.decode().strip())
            self.wfile.write(b"%d\n" % len(self.server.requests))


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []


@pytest.fixture(scope="module")
def server():
    with lifetime("module", "test_thread_server", "server"), Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def connection(server):
    with socket.create_connection(server.server_address, timeout=10) as client:
        yield client.makefile("rwb")


def ask(stream, word):
    stream.write(word + b"\n")
    stream.flush()
    return int(stream.readline())


@pytest.mark.parametrize("number", range(1, 6))
def test_conversation(connection, server, number):
    assert ask(connection, b"word%d" % number) == number
    assert server.requests[-1] == f"word{number}"


def test_server_saw_all(server):
    assert server.requests == [f"word{number}" for number in range(1, 6)]


def test_new_connection(server):
    with socket.create_connection(server.server_address, timeout=10) as client:
        assert ask(client.makefile("rwb"), b"another") == 6
