"""Warming: modules that tests import again and again, since every rewind forgets them where pytest would pay once.

What a second test imports is imported by a process that all further ones are copied from. Tests then find it in
`sys.modules` as they would under pytest, where an earlier test had left it there. What is known must survive rewinds, and
the process that is rewound: it is kept in a file in memory.
"""

from __future__ import annotations

import fcntl
import importlib
import importlib.util
import json
import os
import sys
import warnings
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from .layers import live_reason

# A module that one test alone imports would be imported once more for nobody.
WANTED_BY = 2
# In place of the number of tests: it cannot be imported here; it is being tried.
HOPELESS, TRYING = -1, -2
# Above what the guard of a rewound process looks at, see zygote/descriptors.h.
LOWEST_DESCRIPTOR = 600


class Imports:
    """Made before the first process that is rewound is forked; shared by all that follow.

    The file holds for each module its origin and how many tests have imported it.
    """

    def __init__(self, single_threaded: Iterable[str] = ()) -> None:
        """Take the environment variables that keep libraries from starting threads when they are loaded."""
        self._single_threaded = [name for name in single_threaded if name.endswith("_NUM_THREADS")]
        self._known: frozenset[str] = frozenset()
        fresh = os.memfd_create("tach-imports", os.MFD_CLOEXEC)
        self._file = fcntl.fcntl(fresh, fcntl.F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR)
        os.close(fresh)

    def mark(self) -> None:
        """In the layer that the next tests start from."""
        self._known = frozenset(sys.modules)

    def note(self) -> tuple[int, bool]:
        """At a test's end: how many modules it has imported, and whether some are worth keeping."""
        if len(sys.modules) == len(self._known):
            return 0, False
        fresh = [name for name in list(sys.modules) if name not in self._known]
        kept = self._load()
        for name in fresh:
            if origin := _origin(sys.modules.get(name)):
                entry = kept.setdefault(name, [origin, 0])
                if entry[0] == origin and entry[1] >= 0:
                    entry[1] += 1
        self._save(kept)
        return len(fresh), any(kept[name][1] >= WANTED_BY for name in fresh if name in kept)

    def is_due(self) -> bool:
        """Whether something is wanted that this process does not have."""
        return any(times >= WANTED_BY and name not in sys.modules for name, (_, times) in self._load().items())

    def warm(self) -> str:
        """Import what is due. What cannot be imported here is left to the tests.

        Returns "", or what an import has left that cannot be rewound: this process must end.
        """
        kept = self._load()
        due = [name for name in kept if kept[name][1] >= WANTED_BY and name not in sys.modules]
        self._save({**kept, **{name: [kept[name][0], TRYING] for name in due}})
        environment = {name: "1" for name in self._single_threaded if name not in os.environ}
        os.environ.update(environment)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in due:
                _import(name, kept[name][0])
        for name in environment:
            os.environ.pop(name, None)
        live = live_reason()
        for name in due:
            if live or name not in sys.modules:
                kept[name][1] = HOPELESS
        self._save(kept)
        return live

    def gave_up(self) -> bool:
        """After the death of a process: whether it died of an import. It will not be tried again."""
        kept = self._load()
        tried = [entry for entry in kept.values() if entry[1] == TRYING]
        for entry in tried:
            entry[1] = HOPELESS
        self._save(kept)
        return bool(tried)

    def _load(self) -> dict[str, list[Any]]:
        with suppress(OSError, ValueError):  # a test may have closed or overwritten it
            content = os.pread(self._file, os.fstat(self._file).st_size, 0)
            kept: dict[str, list[Any]] = json.loads(content or b"{}")
            return kept
        return {}

    def _save(self, kept: dict[str, list[Any]]) -> None:
        with suppress(OSError):
            content = json.dumps(kept).encode()
            os.ftruncate(self._file, len(content))
            os.pwrite(self._file, content, 0)


def _import(name: str, origin: str) -> None:
    try:
        specification = importlib.util.find_spec(name)
        if specification is not None and specification.origin == origin:
            importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException:  # whatever a module raises, SystemExit included
        return


def _origin(module: Any) -> str:
    """Where it was loaded from; "" if it was made otherwise."""
    try:
        return str(module.__spec__.origin or "")
    except Exception:
        return ""
