"""pytest's log file (`log_file`, `--log-file`): what tests log travels with their reports, and the controller writes it.

So the file has its lines in pytest's order however many workers there are, and those of a run that is not the verdict
are in no file. Until a report takes it the text lies in memory that outlives the test's process.
"""

from __future__ import annotations

import io
import os
from typing import Any

import pytest

from .process import open_hidden

# Of the extras of a report.
EXTRA = "log_file"


def _handler(config: pytest.Config) -> Any:
    """The handler that writes the file; None if there is no file."""
    plugin = config.pluginmanager.get_plugin("logging-plugin")
    handler = getattr(plugin, "log_file_handler", None)
    return None if handler is None or getattr(handler, "baseFilename", os.devnull) == os.devnull else handler


class _Held(io.TextIOBase):
    """The stream that the handler writes to."""

    def __init__(self, number: int) -> None:
        self.number = number

    def writable(self) -> bool:
        return True

    def write(self, data: str) -> int:
        os.write(self.number, data.encode("utf-8", "backslashreplace"))
        return len(data)


class LogFile:
    """In a process that runs tests, and those that it forks."""

    def __init__(self, config: pytest.Config) -> None:
        self._handler = handler = _handler(config)
        self._held: _Held | None = None
        self._file: Any = None
        stream = getattr(handler, "stream", None)
        if stream is None:
            return
        self._file = stream if not isinstance(stream, _Held) else getattr(handler, "tach_file", None)
        number = open_hidden("tach-log")
        if number >= 0:
            self._held = _Held(number)
            handler.stream, handler.tach_file = self._held, self._file

    def is_waiting(self) -> bool:
        """Whether something was logged since the last `take`."""
        return self._held is not None and os.fstat(self._held.number).st_size > 0

    def take(self) -> str:
        """What was logged since the last call."""
        if self._held is None or not self.is_waiting():
            return ""
        number = self._held.number
        content = os.pread(number, os.fstat(number).st_size, 0)
        os.ftruncate(number, 0)
        os.lseek(number, 0, os.SEEK_SET)
        return content.decode("utf-8", "replace")

    def write_out(self) -> None:
        """There will be no report: what a test that died had logged goes to the file at once."""
        write(self._file, self.take())


def write(stream: Any, text: str) -> None:
    """Append to the file that pytest has opened."""
    if not text or stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):  # full, or closed by a hook: as logging does, go on
        pass


def show(config: pytest.Config, text: str) -> None:
    """In the controller: what a test had logged, in its place."""
    if text:
        write(getattr(_handler(config), "stream", None), text)
