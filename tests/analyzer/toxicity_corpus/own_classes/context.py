from server import Busier, Busy, Guarded, Server, Worker

with Guarded() as g:
    pass
