from server import Busier, Busy, Guarded, Server, Worker

def make():
    return Server()

make().start()
