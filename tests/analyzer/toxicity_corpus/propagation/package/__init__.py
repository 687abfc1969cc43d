from ._impl import Client, start
from .quiet import *

__all__ = ["Client", "start", "calm"]
