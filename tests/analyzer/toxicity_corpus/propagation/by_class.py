from package import Client as C

client = C()
