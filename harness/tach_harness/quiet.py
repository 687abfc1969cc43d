"""Is the zygote quiet, that is, may it be forked? Never with a second thread or a child of the suite's own.

Nor with what its copies would share, so that a test could see what another one does at the same time: sockets, pipes and
shared memory.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from .link import native


def _owner_of(thread: Any) -> str:
    target = getattr(thread, "_target", None)
    owner = getattr(target, "__module__", None) or type(thread).__module__
    return f"module {owner} started thread {thread.name!r}"


def _thread_reason() -> str:
    others = [t for t in threading.enumerate() if t is not threading.main_thread()]
    if others:
        return _owner_of(others[0])
    native_libraries = sorted(
        name for name, module in list(sys.modules.items()) if "." not in name and _is_extension(module)
    )
    listed = ", ".join(native_libraries[:8]) or "unknown"
    return f"a native library started a thread (extension modules loaded: {listed})"


def _is_extension(module: Any) -> bool:
    spec = getattr(module, "__spec__", None)
    return bool(spec is not None and spec.has_location and str(spec.origin).endswith(".so"))


# By the kind of a finding, see zygote/guard.h.
SHARED_BY_COPIES = {
    "socket": "a socket open",
    "pipe": "a pipe open",
    "descriptor": "a descriptor open",
    "shared memory": "shared memory",
}


def _is_lock(detail: str) -> bool:
    """A semaphore of sem_open(3), as in multiprocessing.Lock.

    Libraries make them when they are imported (tqdm does), and they are as free after a test as they were before.
    """
    return "/dev/shm/sem." in detail


def why_not_quiet(session: pytest.Session) -> str | None:
    """One line that names the cause, or None."""
    for kind, detail in native.guard_findings():
        if kind == "thread":
            return _thread_reason()
        if kind == "child":
            return f"importing the tests left a child process: {detail}"
        if kind in SHARED_BY_COPIES and not _is_lock(detail):
            return f"importing the tests left {SHARED_BY_COPIES[kind]}: {detail}"
    return None
