import socket

socket.socket()
