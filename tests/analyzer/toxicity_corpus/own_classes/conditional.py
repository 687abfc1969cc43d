from server import Busier, Busy, Guarded, Server, Worker

server = Server() if True else None
server and server.start()
