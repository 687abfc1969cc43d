from multiprocessing import Pool


class Client:
    def __init__(self):
        self.pool = Pool()


def start():
    return Client()
