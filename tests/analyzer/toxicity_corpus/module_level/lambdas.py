import subprocess

later = lambda: subprocess.Popen(["true"])
table = {"a": subprocess.Popen}
now = (lambda: 1)()
