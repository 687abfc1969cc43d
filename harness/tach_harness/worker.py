"""A worker: runs the items it is told to, each from a pristine state, and reports to the supervisor."""

from __future__ import annotations

import functools
import itertools
import os
import pickle
import signal
import struct
import traceback
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from os import EX_SOFTWARE, _exit
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from _pytest.outcomes import Exit

from . import garbage, layers, measured, rerun
from .debugger import terminal
from .engine import Engine, ForkEngine, SnapshotEngine, Steps, Verdict, die_of_exception
from .filling import FilledLog, failing_as_filled, fill_session, joining_sections
from .first_test import Unwinding
from .imports import Imports
from .interruption import describe
from .link import native, receive, send, tell_user, text
from .plan import Plan
from .process import CrashFile, give_recursion_room, read_capture
from .reports import Muted, Reporter
from .sweep import Sweep
from .units import Unit
from .watch import Change

if TYPE_CHECKING:
    from .session import TachPlugin

# Items that are tried one after the other to set up the session fixtures that all of them need; a guess.
MAX_OPENERS = 16

EXIT_INTERRUPT, EXIT_PYTEST, EXIT_INTERNAL = 1, 2, 3


def _is_foreign(finalizer: Any) -> bool:
    """Not one that pytest itself puts on a node whenever a fixture is used."""
    function = finalizer.func if isinstance(finalizer, functools.partial) else finalizer
    return not str(getattr(function, "__module__", "")).startswith("_pytest.")


class Forgotten:
    """In a copy: what was set up before is finalised where that happened, not here."""

    def __init__(self, session: pytest.Session, plan: Plan) -> None:
        self._stack = session._setupstate.stack
        self._finalizers = {node: finalizers for node, (finalizers, _) in self._stack.items()}
        for node, (_, failure) in list(self._stack.items()):
            self._stack[node] = ([], failure)
        # pytest 7 schedules the finish of a cached fixture anew at every use.
        self._silenced = [d for d in plan.wide_definitions if d.cached_result is not None and "finish" not in vars(d)]
        for definition in self._silenced:
            definition.finish = lambda request: None

    def remember(self) -> None:
        """This process takes the place of the one that it was copied from, and with it the duty to finalise."""
        for node, (finalizers, _) in self._stack.items():
            finalizers[:0] = self._finalizers.get(node, [])
        for definition in self._silenced:
            del definition.finish


def send_exit(index: int, error: BaseException) -> None:
    """Tell that the session must end with this item: an interrupt, pytest.exit, or a hook of the suite that raised."""
    if isinstance(error, Exit):
        send(native.KIND_EXIT, index, a=EXIT_PYTEST, strings=(pickle.dumps((error.msg, error.returncode)),))
    elif isinstance(error, KeyboardInterrupt):
        send(native.KIND_EXIT, index, a=EXIT_INTERRUPT, strings=(pickle.dumps((str(error), None)), *describe(error)))
    else:
        send(native.KIND_EXIT, index, a=EXIT_INTERNAL, strings=(pickle.dumps((traceback.format_exc(), None)),))


def tell_changes(index: int, changes: list[Change]) -> None:
    """Tell of what the item changed that is read in another process than its own."""
    for change in changes:
        base = native.NO_BASE if change.base is None or change.at_end else change.base
        send(native.KIND_GATHERS, index, a=base, strings=(text(change.reader),))


def _verify(runner: int) -> int:
    """Wait for the process' end and tell of all rewinds that left something behind."""
    while True:
        status, item, differences = native.oracle_watch(runner)
        for difference in differences:
            send(native.KIND_DIFFERENCE, item, strings=(text(difference),))
        if status is not None:
            return status
        native.oracle_resume(runner)


class Worker:
    """One worker process (and, by fork, its layers and tests)."""

    def __init__(self, session: pytest.Session, plugin: TachPlugin, plan: Plan, engine: str = "fork") -> None:
        """`engine`: "fork" or the name of a snapshot engine."""
        self.session = session
        self.plugin = plugin
        self.plan = plan
        self._engine_name = engine
        self.engine: Engine = ForkEngine()
        self.reporter: Reporter = Reporter(session.config, plugin.sink, plugin.options.json)
        self.finaliser = layers.Finaliser(session, self.reporter, plugin.suite_sigint)
        self.crash_file = CrashFile()
        plugin.sink.spill = self.crash_file.number
        self.imports: Imports | None = None  # where there is a rewound process
        self.sweep: Sweep | None = None  # likewise
        self.shared: bool = False  # from here on nothing is rewound: a live layer, or a kept test
        self.retire = False
        self.spent = False  # the engine cannot, or should not, go on with this process
        self.interrupted: bool = False
        self.unwinding: bool = False  # a test is left for the layer that was made in its set-up, see first_test.py
        self._before: tuple[list[Any], dict[Any, int]] | None = None  # the test: what was set up
        self.forked: frozenset[int] = frozenset()  # items that cannot be rewound
        self._rerun = False  # a second opinion: nothing follows the last item
        plugin.sink.holding = True
        self._sigint: Any = plugin.suite_sigint
        manager = session.config.pluginmanager
        for name, ours in (("tach-reporter", self.reporter), ("tach-filled-log", FilledLog())):
            if manager.has_plugin(name):
                manager.unregister(name=name)  # inherited from a base
            manager.register(ours, name)
        self.reporter.traveller = plugin.traveller
        self.reporter.failures_before = plugin.failures_before
        beside = plugin.beside
        Muted(manager, lambda heard: heard is self.reporter or any(heard is one for one in beside))

    # --- commands -----------------------------------------------------------------------------------------------

    def serve(self) -> NoReturn:
        """Obey until told to finish."""
        if self._engine_name != "fork" and not self.shared:
            self._keep_runners()
        if not self.shared:
            garbage.collect(garbage.ALL_GENERATIONS)  # no forked test need do so, each for itself
            self.plugin.unraised.drop()
        self._obey()

    def _keep_runners(self) -> NoReturn:
        """Let a copy of this process obey, and another one whenever that has died or is spent.

        A rewound process is the one that runs the tests, so somebody else has to tell of its death.
        """
        imports = self.imports = self.imports or Imports(
            self.plugin.options.unset, self.plugin.remembered.imports, self.plugin.remembered.left_out
        )
        sweep = self.sweep = self.sweep or Sweep()
        verify = self.plugin.options.verify_snapshots
        if verify:
            native.oracle_open()
            native.guard_mark()
        keeper = ForkEngine(_verify if verify else None)
        while True:
            if sweep.is_due():
                sweep.do()
                self.plugin.unraised.drop()
            verdict = keeper.push()
            if verdict is None:
                try:
                    self._begin_runner()
                except BaseException:
                    die_of_exception()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:  # images of earlier ones, see zygote/image_process.h
                    pass
            if not verdict.finished:
                crashed = native.current_item()
                if crashed == native.NO_ITEM and imports.gave_up():
                    continue
                if crashed == native.NO_ITEM:  # ours to explain, not a test's
                    why = f"its process ended between tests, status {verdict.status}"
                    send(native.KIND_PROBLEM, strings=(text(why),))
                    _exit(EX_SOFTWARE)
                fell_apart = self._fell_apart(verdict)
                if fell_apart:
                    self.send_done(crashed, native.MODE_SNAPSHOT, Verdict(condemned="its memory could not be restored"))
                    native.end()
                else:
                    self.report_crash(crashed, verdict)
                send(native.KIND_RUN_DONE, crashed + 1, t0=int(fell_apart))

    @staticmethod
    def _fell_apart(verdict: Verdict) -> bool:
        """Whether the process could not go on when it was half-way back (fall_apart in zygote/rewinder.cpp).

        It has said why itself, and its test's verdict had been given by then.
        """
        exited = os.WIFEXITED(verdict.status) and os.WEXITSTATUS(verdict.status) == EX_SOFTWARE
        return exited and native.ended_ns() > native.began_ns()

    def _begin_runner(self) -> NoReturn:
        """In the copy. If modules are due it takes the keeper's place once it has them: all further copies do, too."""
        assert self.imports is not None
        if self.imports.is_due():
            if not self.imports.warm(self.session.items[0].nodeid):
                ForkEngine().pop(Verdict())  # what they left behind goes with this process
            read_capture(self.session.config)  # what a module prints when it is imported
            garbage.collect(garbage.YOUNG_GENERATIONS)
            self._keep_runners()
        engine = SnapshotEngine.create(self._engine_name, self.plugin.options)
        if isinstance(engine, str):
            tell_user(f"it forks its tests, since it cannot be rewound: {engine}")
        else:
            self.engine = engine
        self._obey()

    def _obey(self) -> NoReturn:
        while True:
            message = receive()
            if message.kind == native.KIND_RUN:
                self._run_command(message)
            elif message.kind == native.KIND_FINISH:
                self._finish(message.item)

    def _run_command(self, message: Any) -> None:
        subset, forked = ([i for (i,) in struct.iter_unpack("<I", string)] for string in message.strings)
        indices = subset or list(range(message.item, message.a))
        self.forked = frozenset(forked)
        if message.b & native.RUN_SHARED:
            self.shared = self.retire = True
        self._rerun = bool(message.b & native.RUN_RERUN)
        if self._rerun:
            rerun.begin(self.session.config)
        self.plugin.entropy.judge()
        self._run(indices)
        if self.spent and self.plan.split_wide:
            self.retire = True  # session fixtures of its own: they are finalised when it is told to finish
        end = indices[-1] + 1
        replaced = self.spent and not self.retire
        send(native.KIND_RUN_DONE, end, a=int(self.retire), b=int(self.interrupted), t0=int(replaced))
        if replaced:
            ForkEngine().pop(Verdict())  # the keeper makes another one

    def _finish(self, charged: int) -> NoReturn:
        """Finalise what was set up here (session fixtures of a live base or of split_wide), then leave.

        As under pytest, it is the session's last item that is charged with a failure.
        """
        if self.session._setupstate.stack:
            self.pop_layer(min(charged, len(self.session.items) - 1), None)
        if self.reporter.log_file is not None and not self._rerun:
            self.reporter.log_file.write_out()
        send(native.KIND_RETIRED)
        native.keep_all()  # whoever keeps this process is done as well
        ForkEngine().pop(Verdict())

    # --- runs ---------------------------------------------------------------------------------------------------

    def _run(self, indices: list[int]) -> None:
        position = 0
        while position < len(indices) and self.may_go_on(indices[position]):
            index = indices[position]
            unit = self.plan.items[index].unit
            length = 1
            while (
                unit and position + length < len(indices) and self.plan.items[indices[position + length]].unit == unit
            ):
                length += 1
            chunk = indices[position : position + length]
            late = next((i for i in chunk if self._sets_up_session_fixture(i)), None)
            if late is not None:
                # That is finalised when this worker ends.
                self.share_from(index, late)
                self.retire = True
            if self.shared:
                self._run_shared(chunk, indices[position + length : position + length + 1])
                position += length
            elif unit:
                position += self._run_unit(chunk)
            else:
                position += self._run_alone(self._row_from(indices[position:]))
            if self.spent and not self.retire:
                return

    def _sets_up_session_fixture(self, index: int) -> bool:
        """Whether the item is going to do so while it runs."""
        plan = self.plan.items[index]
        return bool(plan.flags & native.ITEM_OWN_WORKER) and plan.commits()

    def share_from(self, index: int, late: int) -> None:
        """Nothing is rewound from `index` on: the item `late` is going to set up a wide fixture while it runs."""
        if not self.shared:
            names = ", ".join(self.plan.items[late].names_to_commit())
            who = "it" if late == index else self.session.items[late].nodeid
            send(native.KIND_LIVE, index, strings=(text(f"{who} asks for {names} while it runs"),))
        self.shared = True

    def _row_from(self, indices: list[int]) -> list[int]:
        """The items at the front that can start from one and the same state."""
        row = indices[:1]
        for index in indices[1:]:
            plan = self.plan.items[index]
            own = plan.unit or plan.flags & native.ITEM_OWN_WORKER or self.parts(row[0], index)
            if own or (self.plan.split_wide and any(d.cached_result is None for d in plan.session)):
                break
            row.append(index)
        return row

    def parts(self, index: int, following: int) -> bool:
        """Whether one of the two must be forked and the other one not."""
        return (index in self.forked) != (following in self.forked)

    def may_go_on(self, index: int) -> bool:
        return not self.interrupted and bool(native.may_run(index))

    def next_of(self, index: int) -> pytest.Item | None:
        return self.session.items[index + 1] if index + 1 < len(self.session.items) else None

    def _run_shared(self, chunk: list[int], following: list[int]) -> None:
        """As pytest itself: one after the other, in this process."""
        for index, after in zip(chunk, [*chunk[1:], *(following or [len(self.session.items)])]):
            if not self.may_go_on(index):
                return
            nextitem = self.session.items[after] if after < len(self.session.items) else None
            if after == len(self.session.items) and not self._rerun:
                nextitem = self.next_of(index)
            verdict = self.test(index, nextitem, native.MODE_SHARED)
            self.interrupted = verdict.interrupted

    def _run_alone(self, row: list[int]) -> int:
        """Items without wide fixtures of their own; returns how many are settled."""
        if self.plan.split_wide and self.plan.items[row[0]].session:
            self._fill_session_here(row[0])
        if self.shared:
            self._run_shared(row[:1], [])
            return 1

        def settle(position: int, verdict: Verdict) -> int:
            index = row[position]
            self.interrupted = verdict.interrupted
            if not verdict.finished:
                return self.report_crash(index, verdict)
            native.end()
            if verdict.kept:
                self.shared = self.retire = True  # this is the test's own process now, and it takes the worker's place
            else:
                self._judge_process(verdict, more=position + 1 < len(row))
            self.send_done(index, self.engine.mode, verdict, more=position + 1 < len(row))
            return 1

        def may_go_on(position: int) -> bool:
            return not (self.shared or self.spent) and self.may_go_on(row[position])

        self.mark_start()
        forked = row[0] in self.forked
        return self.engine.each(Steps(len(row), lambda p: self._detached_test(row[p]), settle, may_go_on, forked))

    def mark_start(self, ends: bool = False) -> None:
        """What tests are compared with that start from here; `ends`: it finalises all wide fixtures of its unit."""
        if ends:
            self.plugin.watch.forget()
        else:
            self.plugin.watch.mark(self.plan.wide_definitions)
        if self.imports is not None:
            self.imports.mark()

    def _changes(self, isolated: bool, interrupted: bool) -> tuple[list[Change], list[Change]]:
        """What the test changed that is read in this process when its layer ends, and what is read elsewhere."""
        if interrupted or self._rerun:
            return [], []
        changes = self.plugin.watch.changes(at_end_only=not isolated)
        here = [change for change in changes if change.base is None and not change.at_end]
        return here, [change for change in changes if change not in here]

    def _has_gathered(self, index: int) -> bool:
        """Whether what was just set up or finalised has changed what is read at the session's end: then that is told."""
        changes = [] if self._rerun else [c for c in self.plugin.watch.changes(at_end_only=True) if c.at_end]
        tell_changes(index, changes)
        return bool(changes)

    def _judge_process(self, verdict: Verdict, more: bool) -> None:
        """`more`: tests follow that may want what is due to be imported; a fresh process would have it."""
        worn_out = self.engine.is_worn_out() or (verdict.renewal_due and more)
        self.spent = self.spent or bool(verdict.condemned) or worn_out

    def _detached_test(self, index: int) -> Verdict:
        forgotten = Forgotten(self.session, self.plan)
        verdict = self.test(index, self.next_of(index), self.engine.mode)
        if verdict.kept:
            forgotten.remember()
        return verdict

    def _fill_session_here(self, index: int) -> None:
        """xdist's rule: session fixtures once per worker, in the worker."""
        plan = self.plan.items[index]
        if any(d.cached_result is None for d in plan.session):
            self.open_session_layer(index)
            self.note_if_live(index)

    def open_session_layer(self, index: int, base: int | None = None) -> None:
        """Set up the session fixtures of the item that is the first to need them, but for those of later bases.

        Where its hooks keep it from being set up (a skip), another one that needs them is taken.
        """
        plan = self.plan.items[index]
        self.plugin.watch.forget()
        wanted = [d for d in plan.session if base is None or plan.base_of[id(d)] <= base]
        needing = (i for i in range(index, len(self.session.items)) if {*wanted} <= {*self.plan.items[i].session})
        for candidate in itertools.islice(needing, MAX_OPENERS):
            native.begin(candidate, native.MODE_SHARED)
            opened = fill_session(self, candidate, wanted)
            native.end()
            if opened or self.interrupted:
                break
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        garbage.collect(garbage.YOUNG_GENERATIONS)
        self.plugin.unraised.take(index)
        self.interrupted = self._has_gathered(index) or self.interrupted

    def note_if_live(self, index: int) -> None:
        reason = layers.live_reason()
        if reason:
            self.share_for(index, reason)

    def share_for(self, index: int, reason: str) -> None:
        """Nothing is rewound from `index` on: a wide fixture left something that cannot be."""
        self.shared = True
        send(native.KIND_LIVE, index, strings=(text(reason),))

    def _run_unit(self, chunk: list[int]) -> int:
        """Run a unit in a layer of its own; returns how many of its items are settled (fewer after a crash)."""
        if self.plan.split_wide:
            self._fill_session_here(chunk[0])
            if self.shared:
                self._run_shared(chunk, [])
                return len(chunk)
        native.end()
        verdict = self.engine.push()
        if verdict is None:
            try:
                Forgotten(self.session, self.plan)
                Unit(self, chunk).run()
            except BaseException:
                die_of_exception()
            self.spent = bool(self.engine.pop(Verdict(interrupted=self.interrupted))) or self.spent
            return len(chunk)
        due = self.imports is not None and self.sweep is not None and (self.imports.is_due() or self.sweep.is_due())
        self._judge_process(verdict._replace(renewal_due=due), more=True)
        self.interrupted = self.interrupted or verdict.interrupted
        if verdict.finished:
            return len(chunk)
        begun = native.last_item()  # it may have died between two tests
        index = begun if begun in chunk else chunk[0]
        crashed = index + self.report_crash(index, verdict) - 1
        return chunk.index(crashed) + 1 if crashed in chunk else 1

    # --- one test -----------------------------------------------------------------------------------------------

    def pop_layer(self, index: int, nextitem: Any) -> None:
        """Finalise what `nextitem` no longer needs, charged to `index`, which has ended before."""
        item = self.session.items[index]
        native.begin(index, native.MODE_SHARED if self.shared else self.engine.mode)
        self.reporter.begin(index, item)
        self.plugin.watch.forget()
        try:
            self.finaliser.pop(item, nextitem)
        except (KeyboardInterrupt, Exit) as error:
            send_exit(index, error)
            self.interrupted = True
        self.interrupted = self._has_gathered(index) or self.interrupted
        native.end()

    def pop_is_due(self, nextitem: Any) -> bool:
        return self.finaliser.pop_is_due(nextitem)

    # --- one test -----------------------------------------------------------------------------------------------

    def test(
        self, index: int, nextitem: pytest.Item | None, mode: int, held: bool = False, first: bool = False
    ) -> Verdict:
        """Run one item through pytest's full protocol, in this process.

        `first`: wide fixtures are set up in it; what is said here of rewound tests holds from then on.
        """
        item = self.session.items[index]
        native.begin(index, mode)
        started = native.monotonic_ns()
        send(native.KIND_STARTED, index, a=mode, t0=started)
        rewinding = mode != native.MODE_SHARED
        self.reporter.begin(index, item)
        self._before = None
        if rewinding and not first:
            self.begin_isolated(item)
        rights = layers.rights() if index in self.forked else ""
        self.plugin.unraised.give(index)
        interrupted = self._protocol(index, item, nextitem)
        terminal.give_back()
        self._sigint = signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        late = [] if interrupted else self._late()
        here, elsewhere = self._changes(rewinding and not self.shared, interrupted)
        if elsewhere:
            tell_changes(index, elsewhere)
            here, interrupted = [], True  # it runs again, where that is read
        if late or here or not rewinding:
            measured.flush()
        flags = native.DONE_HELD if (held or rewinding) else 0
        if self.imports is not None and self.imports.warmed:
            flags |= native.DONE_WARMED
        if rewinding:
            mode = native.MODE_SHARED if self.shared else self.engine.mode  # it may have been found out on the way
        self._send_extras(index, mode, flags, late, here, started)
        if mode != native.MODE_SNAPSHOT:
            native.end()
            if mode == native.MODE_FORK and index in self.forked:
                self._judge_forked(index, rights)
            return Verdict(kept=bool(late or here), interrupted=interrupted)
        native.mark_end()
        imports, due = self.imports.note(index) if self.imports is not None else (0, False)
        due = (self.sweep is not None and self.sweep.note()) or due
        return Verdict(kept=bool(late or here), interrupted=interrupted, imports=imports, renewal_due=due)

    def begin_isolated(self, item: pytest.Item) -> None:
        """What happens from here on in this process happens in this test alone."""
        self.plugin.entropy.prepare(item.nodeid)
        self._before = self._wide_state()

    def leave_test(self, told: bool) -> None:
        """In the layer that was made in a test's set-up; `told`: what the set-up left for reports has been in some."""
        self.unwinding = False
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if told:
            self.plugin.unraised.drop()
            self.plugin.sink.take()
            read_capture(self.session.config)
        native.end()

    @staticmethod
    def _judge_forked(index: int, rights: str) -> None:
        """Tell whether it could have been rewound, for the next run to know; `rights`: those before the test.

        What the test left may break this, too: then nothing is known.
        """
        try:
            garbage.collect(garbage.YOUNG_GENERATIONS)
            changed = "" if layers.rights() == rights else "it changed its user, groups or rights"
            send(native.KIND_JUDGED, index, strings=(text(layers.live_reason() or changed),))
        except BaseException:
            return

    def expecting(self, planned: Iterable[Any]) -> AbstractContextManager[None]:
        """While these FixtureDefs are set up, see claims.py."""
        return self.plan.claims.expecting(planned) if self.plan.claims is not None else nullcontext()

    def hooks(self, index: int) -> bool:
        """Run pytest's full protocol for what is done inside it; True if the session must end with this item."""
        return self._protocol(index, self.session.items[index], self.next_of(index))

    def _protocol(self, index: int, item: pytest.Item, nextitem: Any) -> bool:
        """True if the session must end with this item."""
        signal.signal(signal.SIGINT, self._sigint)
        give_recursion_room()
        try:
            with failing_as_filled(item), joining_sections(item):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)
        except BaseException as error:
            return self._protocol_failed(index, error)
        if self.unwinding:
            raise Unwinding("")
        if not native.is_producer():
            _exit(0)
        return False

    def _protocol_failed(self, index: int, error: BaseException) -> bool:
        if self.unwinding:  # whatever hooks made of it
            raise Unwinding("") from None
        if not isinstance(error, KeyboardInterrupt | Exit) and not native.is_producer():
            _exit(0)
        send_exit(index, error)
        return True

    def _send_extras(
        self, index: int, mode: int, flags: int, late: list[str], changed: list[Change], started: int
    ) -> None:
        extras = {}
        if self.session.shouldstop or self.session.shouldfail:
            extras = {"shouldstop": self.session.shouldstop, "shouldfail": self.session.shouldfail}
            flags |= native.DONE_SHOULD_STOP
        note = ""
        if late:
            flags |= native.DONE_KEPT
            note = f"set up {', '.join(late)} while it ran: the rest of that scope runs shared"
            send(native.KIND_LIVE, index, strings=(text(f"it set up {', '.join(late)} while it ran"),))
        elif changed:
            flags |= native.DONE_KEPT
            note = f"changed what {changed[0].reader}: the rest of that scope runs shared"
            send(native.KIND_LIVE, index, strings=(text(f"it changed what {changed[0].reader}"),))
        duration = native.monotonic_ns() - started
        strings = (pickle.dumps(extras), text(note), text("\n".join(late)))
        # Held: another one follows when the process is back. What may end the run or the rewinding is told at once.
        held = flags & (native.DONE_HELD | native.DONE_KEPT | native.DONE_SHOULD_STOP) == native.DONE_HELD
        send(native.KIND_DONE, index, a=mode, b=flags, t0=duration, strings=strings, with_next=held)

    def send_done(self, index: int, mode: int, verdict: Verdict, more: bool = False) -> None:
        """`more`: another message follows, at the latest when the run is over."""
        note, flags = b"", 0
        if verdict.condemned:
            note, flags = text(f"{verdict.condemned}: its process is replaced"), native.DONE_CONDEMNED
        strings = (b"", note, b"", verdict.rewind, text(verdict.condemned)) if verdict.rewind or note else ()
        send(native.KIND_DONE, index, a=mode, b=flags, t1=verdict.reset_ns, strings=strings, with_next=more)

    def _wide_state(self) -> tuple[list[Any], dict[Any, int]]:
        cached = [definition.cached_result for definition in self.plan.wide_definitions]
        finalizers = {node: sum(map(_is_foreign, entry[0])) for node, entry in self.session._setupstate.stack.items()}
        return cached, finalizers

    def _late(self) -> list[str]:
        """Wide fixtures that were set up, and foreign finalisers that were put on wide nodes, during the test."""
        if self._before is None:
            return []
        cached, finalizers = self._before
        names = [
            definition.argname
            for definition, earlier in zip(self.plan.wide_definitions, cached)
            if definition.cached_result is not earlier and definition.cached_result is not None
        ]
        for node, entry in self.session._setupstate.stack.items():
            foreign = sum(1 for f in entry[0] if _is_foreign(f) and f != node.teardown)
            if foreign > finalizers.get(node, 0):
                names.append(f"a finaliser of {node.nodeid or 'the session'}")
        return names

    def report_crash(self, index: int, verdict: Verdict) -> int:
        """Tell how the process that ran `index` died, with what it had printed and its last Python stack.

        Returns how many items from `index` on are settled: a kept test's process may have died in a later one.
        """
        crashed = native.current_item()
        if crashed == native.NO_ITEM:
            crashed = index  # it died on its way out
        killed_by = os.WTERMSIG(verdict.status) if os.WIFSIGNALED(verdict.status) else 0
        code = os.WEXITSTATUS(verdict.status) if os.WIFEXITED(verdict.status) else 0
        out, err = read_capture(self.session.config)
        if self.reporter.log_file is not None:
            self.reporter.log_file.write_out()
        strings = (text(out), text(err), text(self.crash_file.take()))
        duration = max(0, native.monotonic_ns() - native.began_ns())
        send(native.KIND_CRASHED, crashed, a=killed_by, b=code, t0=duration, strings=strings)
        native.end()
        return crashed - index + 1
