from server import Busier, Busy, Guarded, Server, Worker

server = Server()
server.start()
