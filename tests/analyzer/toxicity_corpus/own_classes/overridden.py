from server import Busier, Busy, Guarded, Server, Worker

Busier()
