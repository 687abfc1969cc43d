"""The fork server: the zygote (base 0) and every base, which is a zygote with session fixtures set up."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import traceback
from collections.abc import Callable
from os import EX_SOFTWARE, _exit
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from _pytest.outcomes import Exit

from . import controller, garbage, giving_up, layers, measured, modules, solo, unraised
from .claims import Claims
from .engine import run_new_atexit_callbacks
from .link import Message, native, receive, send, text
from .plan import Plan, fixture_closure
from .process import (
    OpenFiles,
    flush_buffers,
    fork,
    know_capture_files,
    own_basetemp,
    own_capture_files,
)
from .reports import Reporter
from .worker import Forgotten, Worker, send_exit, tell_changes
from .xdist_view import WorkerName

if TYPE_CHECKING:
    from .session import TachPlugin

BASETEMP_FIXTURES = frozenset(
    {"tmp_path", "tmp_path_factory", "tmpdir", "tmpdir_factory", "pytester", "testdir", "getfixturevalue"}
)


class Server:
    """Forks the other roles on request; one process has at most one."""

    def __init__(self, session: pytest.Session, plugin: TachPlugin, plan: Plan, number: int = 0) -> None:
        self.session = session
        self.plugin = plugin
        self.plan = plan
        self.number = number

    def run(self) -> bool:
        """Serve. Returns in the process whose pytest session goes on to its end, and in a base that becomes live."""
        if self.number == 0:
            garbage.collect(garbage.YOUNG_GENERATIONS)  # since collection ended
            self._fix_basetemp()
            self.plugin.unraised.find(self.session.config)
            self.plugin.unraised.take(0)
            know_capture_files(self.session.config)
            self.plan.claims = Claims(self.plan)
            self.plugin.watch.look_for_end_readers()
            self._files = OpenFiles()
            measured.begin(self.session.config.pluginmanager)
            signal.signal(signal.SIGINT, self._remember_sigint())
            send(native.KIND_BASE_READY, a=0)
        while True:
            message = receive()
            if message.kind == native.KIND_FORK_CONTROLLER:
                if self._fork(native.ROLE_CONTROLLER):
                    return controller.run(self.session, self.plugin)
                self.plugin.tell_of_images(self.session)  # the first workers have been forked before
            elif message.kind == native.KIND_FORK_WORKER:
                if self._fork(native.ROLE_WORKER):
                    self._be(self._be_worker, message)
            elif message.kind == native.KIND_FORK_BASE:
                if self._fork(native.ROLE_BASE):
                    self._be(self._be_base, message)
            elif message.kind == native.KIND_REAP:
                send(native.KIND_REAPED, a=message.a, b=self._reap(message.a))
            elif message.kind == native.KIND_MODULES:
                giving_up.send_items(self.session)
                modules.send_files(self.session)
            elif message.kind == native.KIND_GO_SOLO:
                return self._go_solo(message.strings[0].decode())
            elif message.kind == native.KIND_BECOME_LIVE:
                return False
            elif message.kind == native.KIND_FINISH:
                self._finish(message.item)

    def _remember_sigint(self) -> Any:
        """Ctrl-C is the supervisor's to handle; tests get the handler that the suite would have had."""
        self.plugin.suite_sigint = signal.getsignal(signal.SIGINT)
        return signal.SIG_IGN

    def _fork(self, role: int) -> bool:
        """True in the child, which by then speaks to the supervisor on a channel of its own."""
        descriptors = native.receive_fds()
        # The controller ends pytest's session, and with it what was registered to run at the interpreter's exit.
        flush_buffers()
        measured.flush_all()
        with measured.forking():
            child = fork(keep_atexit=role == native.ROLE_CONTROLLER)
        if child != 0:
            for number in descriptors:
                os.close(number)
            return False
        if self.plugin.options.own_groups:
            os.setpgid(0, 0)  # what a test sends to its process group is not for its siblings
        native.adopt()
        native.attach(*descriptors)
        own_capture_files(self.session.config)
        native.unshare_read_only_files()
        native.hello(role, ())
        return True

    @staticmethod
    def _reap(pid: int) -> int:
        try:
            return os.waitpid(pid, 0)[1]
        except ChildProcessError:
            return 0

    def _fix_basetemp(self) -> None:
        """Make the run's numbered directory before there is more than one process that could."""
        factory = getattr(self.session.config, "_tmp_path_factory", None)
        if factory is None:
            return
        if any(
            p.flags & native.ITEM_DYNAMIC or BASETEMP_FIXTURES & set(fixture_closure(p.item)) for p in self.plan.items
        ):
            factory.getbasetemp()

    @staticmethod
    def _be(role: Callable[[Message], NoReturn], message: Message) -> NoReturn:
        """Nothing may come back from a forked role: what is below on the stack is its parent's."""
        try:
            role(message)
        except BaseException:
            send(native.KIND_PROBLEM, a=3, strings=(text(traceback.format_exc()),))
        _exit(EX_SOFTWARE)

    def _be_worker(self, message: Message) -> NoReturn:
        number, count, attempt = message.a, message.item, message.b
        config = self.session.config
        name = f"popen-gw{number}" if attempt == 0 else f"popen-gw{number}-{attempt}"
        if count > 1:
            name_of_it = WorkerName(number, count, self.plugin.run_uid)
            if self.plugin.uses_xdist or self.plugin.options.split_wide:
                name_of_it.show(config)
            else:
                name_of_it.tell_fixtures(self.session)
        if count > 1 or attempt:
            own_basetemp(config, name)
        Forgotten(self.session, self.plan)
        worker = Worker(self.session, self.plugin, self.plan, engine=message.strings[0].decode())
        native.guard_mark()
        worker.serve()

    def _be_base(self, message: Message) -> NoReturn:
        self.number = message.a
        Forgotten(self.session, self.plan)
        worker = Worker(self.session, self.plugin, self.plan)
        native.guard_mark()
        worker.open_session_layer(message.item, self.number)
        self.plugin.watch.mark(self.plan.wide_definitions, base=self.number)
        reason = layers.live_reason()
        send(native.KIND_BASE_READY, item=message.item, a=self.number, b=int(bool(reason)), strings=(text(reason),))
        if not reason:
            self.run()
        self.plugin.watch.forget(of_bases=True)
        worker.shared = True
        worker.serve()

    def _go_solo(self, why: str) -> bool:
        """Run the session here: it is as if nothing had been forked."""
        signal.signal(signal.SIGINT, self.plugin.suite_sigint)
        self.plugin.unraised.give(0)
        self._files.restore()
        measured.merge()
        factory = getattr(self.session.config, "_tmp_path_factory", None)
        if factory is not None and factory._basetemp is not None:
            for entry in factory._basetemp.iterdir():
                if entry.name != ".lock":
                    shutil.rmtree(entry, ignore_errors=True)
        self.plugin.tell_of_images(self.session)
        return solo.run(self.session, self.plugin, why)

    def _finish(self, charged: int) -> NoReturn:
        if self.session._setupstate.stack:
            reporter = Reporter(self.session.config, self.plugin.sink, self.plugin.options.json)
            reporter.failures_before = self.plugin.failures_before
            index = min(charged, len(self.session.items) - 1)
            item = self.session.items[index]
            reporter.begin(index, item)
            self.plugin.watch.forget(of_bases=True)
            try:
                layers.Finaliser(self.session, reporter, self.plugin.suite_sigint).pop(item, None)
            except (KeyboardInterrupt, Exit) as error:
                send_exit(reporter.index, error)
            tell_changes(reporter.index, [c for c in self.plugin.watch.changes(at_end_only=True) if c.at_end])
        measured.flush()
        if self.number == 0:
            self._unlock_basetemp()
        else:
            gc.collect(1)
            unraised.tell_left()
            if run_new_atexit_callbacks():
                measured.flush_at_exit()
            flush_buffers()
        send(native.KIND_RETIRED)
        _exit(0)

    def _unlock_basetemp(self) -> None:
        """pytest removes the lock at exit, but only in the process that made the directory, which does not exit."""
        factory = getattr(self.session.config, "_tmp_path_factory", None)
        if factory is not None and factory._basetemp is not None:
            (factory._basetemp / ".lock").unlink(missing_ok=True)
