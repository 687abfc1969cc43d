import threading


def run(thread: threading.Thread) -> threading.Thread | None: ...


class Holder:
    thread: threading.Thread
    kind = threading.Thread
