"""Units: runs of tests that share wide fixtures, in a layer of their own that is popped when they are through."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from . import garbage, layers
from .engine import Steps, Verdict
from .filling import FILL_LOG, keep_log
from .first_test import Point, Unwinding, hold_timers, tearing_down
from .link import native
from .process import read_capture
from .reports import FILL_EXTRAS, FILL_SECONDS

if TYPE_CHECKING:
    from .worker import Worker


class Unit:
    """Keeps the wide fixtures of a run of tests, brings them up to date between tests, finalises them."""

    def __init__(self, worker: Worker, chunk: list[int]) -> None:
        self._worker = worker
        self._engine = worker.engine
        self._session = worker.session
        self._chunk = chunk
        # Of the first test under a layer, from its point on:
        self._ends = False  # its teardown finalises all that there is: it is the last one, too
        self._pushed = False  # this is the time line of the test, which ends with it
        self._came_back: Verdict | None = None  # this is the layer's time line, and that came of the test

    def run(self) -> None:
        position = 0
        charged = self._chunk[0]  # with what goes wrong at the layer's end: the last item that was begun
        while position < len(self._chunk) and self._worker.may_go_on(self._chunk[position]):
            charged = self._chunk[position]
            settled = self._step(position)
            if settled == 0:
                break
            charged = self._chunk[min(position + settled, len(self._chunk)) - 1]
            position += settled
        if self._session._setupstate.stack:
            self._worker.pop_layer(charged, None)

    def _step(self, position: int) -> int:
        """Run one test or more; returns how far to advance."""
        worker, index = self._worker, self._chunk[position]
        plan = worker.plan.items[index]
        if not worker.shared and plan.commits():
            worker.share_from(index, index)  # its own process would become the layer anyway: run it here
        if worker.shared:
            return self._shared(position)
        if plan.needs_fill(self._session._setupstate.stack):
            return self._first(position)
        if self._is_last(position) and index not in worker.forked:
            return self._last(position)
        return self._row(position)

    def _is_last(self, position: int) -> bool:
        return position + 1 == len(self._chunk)

    def _next(self, position: int) -> Any:
        """The item of the unit that follows; None after the last."""
        return None if self._is_last(position) else self._session.items[self._chunk[position + 1]]

    def _shared(self, position: int) -> int:
        worker, index = self._worker, self._chunk[position]
        worker.plugin.watch.forget()
        last = self._is_last(position)
        with tearing_down(self._session, lambda nextitem: nextitem and self._next(position)):
            nextitem = worker.next_of(index) if last else self._next(position)
            verdict = worker.test(index, nextitem, native.MODE_SHARED, held=last)
        worker.interrupted = verdict.interrupted
        if last:
            if self._session._setupstate.stack:
                worker.pop_layer(index, None)
            worker.send_done(index, native.MODE_SHARED, Verdict())
        return 1

    # --- the first test under a layer ---------------------------------------------------------------------------

    def _first(self, position: int) -> int:
        """Run the test that is the first to need wide fixtures; they are set up, and perhaps finalised, within it."""
        worker, index = self._worker, self._chunk[position]
        self._ends = self._is_last(position) and index not in worker.forked
        self._pushed = False
        started = time.perf_counter()
        worker.plugin.watch.forget()
        point = Point(self._session.items[index], self._at_point)
        ran: Verdict | None = None
        # What is raised later must not look as if it had been raised while an exception was handled: suppress.
        ending = tearing_down(self._session, lambda nextitem: self._first_keeps(position, nextitem))
        self._came_back = None
        planned = worker.plan.items[index]
        expecting = worker.expecting([*planned.wide, *planned.session])
        with contextlib.suppress(Unwinding), ending, expecting, point.awaited():
            ran = worker.test(index, worker.next_of(index), self._engine.mode, first=True)
        if ran is not None:
            return self._settle(position, self._end_first(ran))
        came_of_it: Verdict | None = self._came_back
        point.left(keeps_sections=came_of_it is None)
        worker.leave_test(told=came_of_it is not None)
        if came_of_it is None:
            return self._after_fill(position, time.perf_counter() - started)
        return self._settle(position, came_of_it)

    def _first_keeps(self, position: int, nextitem: Any) -> Any:
        if self._worker.shared:
            return nextitem and self._next(position)
        return None if self._ends else self._session.items[self._chunk[position]].parent

    def _at_point(self, point: Point) -> None:
        """The wide fixtures are set up: make the layer here, if it can be one."""
        worker = self._worker
        garbage.collect(garbage.YOUNG_GENERATIONS)
        live = layers.live_findings()
        of_fixtures = [finding for finding in live if finding not in point.live_before]
        if of_fixtures:
            worker.share_for(worker.reporter.index, "; ".join(of_fixtures[:3]))
            return
        if live and not self._ends:
            self._leave_to_fill(point)
        worker.plugin.entropy.judge()
        if not self._ends:
            self._push(point)
        worker.begin_isolated(point.item)
        worker.mark_start(self._ends)

    def _push(self, point: Point) -> None:
        let_timers_run = hold_timers()
        self._came_back = self._engine.push(self._worker.reporter.index in self._worker.forked)
        if self._came_back is not None:
            self._worker.unwinding = True
            self._worker.reporter.pause()
            point.unwind()
        self._pushed = True
        let_timers_run()

    def _leave_to_fill(self, point: Point) -> None:
        """What hooks around the test hold cannot be captured (a thread): the test begins again, from the layer."""
        self._worker.unwinding = True
        keep_log(point.item)
        point.item.stash[FILL_EXTRAS] = self._worker.reporter.take_properties()
        point.unwind()

    def _after_fill(self, position: int, seconds: float) -> int:
        worker, index = self._worker, self._chunk[position]
        self._session.items[index].stash[FILL_SECONDS] = seconds
        worker.note_if_live(index)
        return self._shared(position) if worker.shared else self._row(position, filled=True)

    def _end_first(self, verdict: Verdict) -> Verdict:
        """In the test's time line; comes back from it if it can be left."""
        if self._pushed and verdict.kept:
            self._engine.commit()
        elif self._pushed:
            verdict = verdict._replace(condemned=self._engine.pop(verdict))
        return verdict

    def _settle(self, position: int, verdict: Verdict) -> int:
        worker, index = self._worker, self._chunk[position]
        was_shared = worker.shared
        worker.interrupted = verdict.interrupted
        advance = 1 if verdict.finished else worker.report_crash(index, verdict)
        native.end()
        worker.shared = worker.shared or verdict.kept or bool(verdict.condemned)
        following = self._next(min(position + advance, len(self._chunk)) - 1)
        if self._session._setupstate.stack and worker.pop_is_due(following) and not worker.interrupted:
            worker.pop_layer(index, following)
        if verdict.finished:
            apart = native.MODE_FORK if index in worker.forked else self._engine.mode
            worker.send_done(index, native.MODE_SHARED if was_shared else apart, verdict)
        return advance

    # --- the others ---------------------------------------------------------------------------------------------

    def _row(self, position: int, filled: bool = False) -> int:
        """Tests that all start from the layer as it is now; returns how far to advance.

        After the last of them the layer changes: a node on its stack ends, or the next item needs more, or what the
        fill has left for its first test to tell must go.
        """
        worker, chunk = self._worker, self._chunk
        length = 1
        while not filled and not worker.pop_is_due(self._next(position + length - 1)):
            following = chunk[position + length]
            if self._is_last(position + length) and following not in worker.forked:
                break
            if self._changes_layer(following) or worker.parts(chunk[position], following):
                break
            length += 1
        row = chunk[position : position + length]
        nextitem = self._next(position + length - 1)
        due = worker.pop_is_due(nextitem)
        last: list[tuple[Verdict, int]] = []

        def settle(at: int, verdict: Verdict) -> int:
            worker.interrupted = verdict.interrupted
            advance = 1 if verdict.finished else worker.report_crash(row[at], verdict)
            native.end()
            worker.shared = worker.shared or verdict.kept or bool(verdict.condemned)
            if verdict.finished and at + 1 < length:
                worker.send_done(row[at], self._engine.mode, verdict, more=True)
            else:
                last[:] = [(verdict, self._engine.mode)]
            return advance

        def step(at: int) -> Verdict:
            parent = self._session.items[row[at]].parent
            with tearing_down(self._session, lambda _: parent):
                return worker.test(row[at], worker.next_of(row[at]), self._engine.mode)

        def may_go_on(at: int) -> bool:
            return not (worker.shared or worker.interrupted) and worker.may_go_on(row[at])

        worker.mark_start()
        settled = self._engine.each(Steps(length, step, settle, may_go_on, row[0] in worker.forked))
        if settled < length or not last:
            return settled
        self._end_row(row[-1], nextitem, *last[0], due)
        return settled

    def _last(self, position: int) -> int:
        """The unit's last test finalises all that there is: nothing comes back to before it, but the unit's own layer is

        popped. A process of its own it has already, where processes are forked; elsewhere it starts from a layer of its
        own for what can be seen of one, such as the number of descriptors.
        """
        worker, index = self._worker, self._chunk[position]
        found: list[Verdict] = []
        alone = self._engine.mode == native.MODE_FORK

        def step(_: int) -> Verdict:
            ends = self._engine.mode != native.MODE_FORK or alone
            parent = None if ends else self._session.items[index].parent
            with tearing_down(self._session, lambda _: parent):
                verdict = worker.test(index, worker.next_of(index), self._engine.mode)
            return verdict._replace(ended=ends)

        def settle(_: int, verdict: Verdict) -> int:
            found.append(verdict)
            return 1

        worker.mark_start(ends=True)
        if alone:
            return self._settle(position, step(0))
        self._engine.each(Steps(1, step, settle, lambda _: True))
        return self._settle(position, found[0])

    def _end_row(self, index: int, nextitem: Any, verdict: Verdict, mode: int, due: bool) -> None:
        worker = self._worker
        if due and self._session._setupstate.stack and not worker.interrupted:
            worker.pop_layer(index, nextitem)
        if not verdict.finished:
            return
        if not (verdict.kept or verdict.condemned):
            self._discard_leftovers(index)
        worker.send_done(index, mode, verdict)

    def _changes_layer(self, index: int) -> bool:
        plan = self._worker.plan.items[index]
        return plan.commits() or plan.needs_fill(self._session._setupstate.stack)

    def _discard_leftovers(self, index: int) -> None:
        """Output and log sections of a fill belong to the test that ran on it, not to the next one."""
        item = self._session.items[index]
        item._report_sections.clear()
        item.stash[FILL_SECONDS] = 0.0
        item.stash[FILL_EXTRAS] = {}
        if FILL_LOG in item.stash:
            del item.stash[FILL_LOG]
        read_capture(item.config)
