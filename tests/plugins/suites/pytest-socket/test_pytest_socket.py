import socket

import pytest
from pytest_socket import SocketBlockedError


def test_blocked(socket_disabled):
    with pytest.raises(SocketBlockedError):
        socket.socket()


def test_free():
    socket.socket().close()


@pytest.mark.disable_socket
def test_wrong():
    socket.socket()
