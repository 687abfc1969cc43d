import pytest


@pytest.mark.block_network
def test_right():
    pass


@pytest.mark.block_network
def test_wrong():
    import socket

    socket.create_connection(("192.0.2.1", 9), timeout=1)
