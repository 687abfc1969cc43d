import threading


class Server:
    def __init__(self, port=0):
        self.port = port

    def start(self):
        self._spawn()
        return self

    def _spawn(self):
        self.thread = threading.Thread(target=self.loop)
        self.thread.start()

    def loop(self): ...

    @classmethod
    def make(cls):
        return cls()

    @classmethod
    def started(cls):
        return cls.make().start()


class Worker(threading.Thread):
    def run(self): ...


class Busy:
    def __init__(self):
        super().__init__()
        self.prepare()

    def prepare(self): ...


class Busier(Busy):
    def prepare(self):
        threading.Timer(1, print).start()


class Guarded:
    def __enter__(self):
        threading.Thread().start()
        return self

    def __exit__(self, *args): ...

    def __call__(self):
        threading.Thread().start()
