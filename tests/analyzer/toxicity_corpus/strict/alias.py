import threading as t
from threading import Thread as Worker

Job = Worker
job = Job(target=print)
lock = t.Lock()
