"""Solo: the whole session in the zygote's own process, in pytest's own order, with nothing forked and nothing rewound.

For what cannot be forked: `--mode shared`, debuggers, threads that importing the tests started, plugins that gather
state for the end of the session. If the process dies, the supervisor starts a fresh one that replays what is known and
goes on with the rest.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from .controller import Replayer, check_stop
from .debugger import terminal
from .link import Message, TerminalSink, native, receive, send, text
from .process import CrashFile, give_recursion_room
from .reports import Reporter

if TYPE_CHECKING:
    from .session import TachPlugin

INTERACTIVE = {"usepdb": "--pdb", "trace": "--trace"}
# These print while fixtures are set up and while tests run, which has a place only where everything happens in order.
ORDERED_OUTPUT = {"setupshow": "--setup-show", "setuponly": "--setup-only", "setupplan": "--setup-plan"}


def is_interactive(config: pytest.Config) -> bool:
    """Whether the user is going to talk to this process: its output must then not be delayed."""
    return any(config.getoption(name, False) for name in INTERACTIVE)


def why_interactive(config: pytest.Config) -> str | None:
    for name, option in {**INTERACTIVE, **ORDERED_OUTPUT}.items():
        if config.getoption(name, False):
            return f"{option} needs the tests to run one after the other"
    return None


def _run_item(reporter: Reporter, index: int, item: pytest.Item, nextitem: Any) -> None:
    reporter.begin(index, item)
    native.begin(index, native.MODE_SHARED)
    started = native.monotonic_ns()
    send(native.KIND_STARTED, index, a=native.MODE_SHARED, t0=started)
    give_recursion_room()
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)
    terminal.give_back()
    duration = native.monotonic_ns() - started
    if reporter.categories is not None:
        reporter.categories.tell(index)
    send(native.KIND_DONE, index, a=native.MODE_SHARED, t0=duration, strings=(pickle.dumps({}), b"", b""))
    native.end()


def _known_results(sink: TerminalSink) -> dict[int, list[Message]]:
    """What an earlier process that died had found out, by item."""
    known: dict[int, list[Message]] = {}
    while True:
        message = receive()
        if message.kind == native.KIND_RESUME:
            sink.seen_bytes = message.a
            return known
        known.setdefault(message.item, []).append(message)


def run(session: pytest.Session, plugin: TachPlugin, why: str) -> bool:
    """pytest's own loop, observed."""
    plugin.watch.close()
    send(native.KIND_SOLO, strings=(text(why),))
    known = _known_results(plugin.sink)
    if known:  # an earlier process has charged its first test with what waits
        plugin.unraised.find(session.config)
        plugin.unraised.drop()
    CrashFile(is_for_crashes=False)
    reporter = Reporter(session.config, plugin.sink, plugin.options.json, solo=True)
    try:
        _loop(session, plugin, reporter, known)
    finally:
        reporter.pause()
        _ask_for_summary(plugin)
    return True


def _loop(session: pytest.Session, plugin: TachPlugin, reporter: Reporter, known: dict[int, list[Message]]) -> None:
    replayer = Replayer(session, plugin)
    reporter.categories = replayer.categories
    manager = session.config.pluginmanager
    # After what is only replayed; once, since it takes pluggy as long as a small test.
    first = next((index for index in range(len(session.items)) if index not in known), -1)
    for index, (item, nextitem) in enumerate(zip(session.items, [*session.items[1:], None])):
        # What the user has not seen yet: the crash of the last item that is known, and all that follows.
        plugin.sink.enter(plugin.sink.stage)
        plugin.sink.muted = index + 1 < len(known)
        if index in known:
            for message in known[index]:
                replayer.feed(message)
        else:
            if index == first:
                manager.register(reporter, "tach-reporter")
            _run_item(reporter, index, item, nextitem)
            reporter.pause()
        check_stop(session)


def _ask_for_summary(plugin: TachPlugin) -> None:
    """The lines of tach's own summary section come from the supervisor, which has counted."""
    send(native.KIND_RUN_DONE)
    message = receive()
    if message.kind == native.KIND_END:
        plugin.end.lines = [line.decode("utf-8", "replace") for line in message.strings]
