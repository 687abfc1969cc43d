"""`--since`: of the tests that pytest has selected, those in files that cannot have been affected are deselected.

After all plugins have selected, ordered and divided what was collected, so that what is left is what they would have run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .session import Remembered


class Selection:
    """A plugin of its own, since only few runs have it."""

    def __init__(self, remembered: Remembered) -> None:
        self._remembered = remembered

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> Iterator[None]:
        """Before pytest counts and prints what was selected."""
        self._deselect(session)
        yield

    def _deselect(self, session: pytest.Session) -> None:
        unaffected = self._remembered.unaffected
        verdicts: dict[str, bool] = {}

        def is_unaffected(item: pytest.Item) -> bool:
            path = str(item.path)
            if path not in verdicts:
                # A link is a file of its own: it must be unaffected where it lies, and where it leads to.
                verdicts[path] = path in unaffected and os.path.realpath(path) in unaffected
            return verdicts[path]

        deselected = [item for item in session.items if is_unaffected(item)]
        if deselected:
            session.items[:] = [item for item in session.items if not is_unaffected(item)]
            session.config.hook.pytest_deselected(items=deselected)
