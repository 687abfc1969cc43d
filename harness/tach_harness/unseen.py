"""Functions of ours among pytest's own frames, which no failure's text may show.

`__tracebackhide__` hides a frame, but pytest says so where nothing else is left. What was generated, by the name of its
file, it leaves out before (_pytest.python.filter_traceback), as it does with frames of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any, TypeVar

FILE = "<tach>"

_Function = TypeVar("_Function", bound=Callable[..., Any])
# By the identity of the first: a function that is made anew for each test has one code.
_generated: dict[int, tuple[CodeType, CodeType]] = {}


def unseen(function: _Function) -> _Function:
    """Make a function one that was generated."""
    code: CodeType = function.__code__
    known = _generated.get(id(code))
    if known is None:
        known = _generated[id(code)] = (code, code.replace(co_filename=FILE))
    function.__code__ = known[1]
    return function
