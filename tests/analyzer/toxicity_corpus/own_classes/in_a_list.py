from server import Busier, Busy, Guarded, Server, Worker

for one in [Server()]:
    one.start()
