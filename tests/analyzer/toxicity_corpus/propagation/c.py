import a
import os

os.fork()
