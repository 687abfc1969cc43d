import os
import socket

try:
    if os.environ.get("SERVER"):
        server = socket.socket()
except OSError:
    pass
