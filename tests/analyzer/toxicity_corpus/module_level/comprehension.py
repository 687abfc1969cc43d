import os

children = [os.fork() for _ in range(2)]
names = f"{os.pipe()}"
if (end := os.eventfd(0)) and True:
    pass
assert os.memfd_create("x")
