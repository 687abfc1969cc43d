from os.path import *
from . import *
from ...a.b import (
    c as d,
    e,
)
from .. import f
import a.b.c as x, a.b, importlib
from __future__ import annotations

__all__ = ["a", *d.__all__] + e
__all__ += ["x"]
__all__.extend(["y"])
importlib.import_module("..a", __package__)
__import__(x)
try:
    import numpy as np
except ImportError:
    np = None
if TYPE_CHECKING:
    from typing import *
pytest_plugins = ["a", "b.c"]
