from package import Client, start, calm

calm()
