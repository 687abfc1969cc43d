import socket


class Config:
    pair = socket.socketpair()

    class Inner:
        address = [socket.create_server((host, 0)) for host in ("a", "b")]
