from concurrent.futures import ThreadPoolExecutor


def run(pool=ThreadPoolExecutor(2)): ...
