from server import Busier, Busy, Guarded, Server, Worker

class Mine(Worker): ...

def make(): return Mine()
