from mylib import start

start()
