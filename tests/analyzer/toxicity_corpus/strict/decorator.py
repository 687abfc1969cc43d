import atexit
import threading


@atexit.register
def bye(): ...


@threading.Timer(1, print)
class Odd: ...
