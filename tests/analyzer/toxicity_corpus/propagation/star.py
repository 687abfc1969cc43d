from package import *

start()
