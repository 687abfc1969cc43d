from server import Busier, Busy, Guarded, Server, Worker

KINDS = [Server, Worker]
kind = Worker
