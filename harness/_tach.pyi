"""The native half of the harness, zygote/module.cpp, as type checkers see it; for them alone, it is not installed.

One process has one channel: RuntimeError is raised by what needs it before `attach`, OSError by what finds it broken.
Descriptors that are handed over belong to the module from then on.
"""

from collections.abc import Callable, Iterable
from types import CodeType
from typing import Any, TypeVar

_Element = TypeVar("_Element", int, tuple[int, int])

VERSION: str  # of tach

# --- the channel ------------------------------------------------------------------------------------------------------

def attach(segment: int, wake_supervisor: int, wake_process: int, socket: int, /) -> None:
    """Take these descriptors as this process' channel, in place of the one that it had."""

def send(
    kind: int, item: int, a: int, b: int, t0: int, t1: int, strings: tuple[bytes, ...], with_next: bool = False, /
) -> bool:
    """Send one message, waiting while the ring is full; False if another process is the one that may write.

    `with_next`: a supervisor that sleeps need not hear of it before the next message that is sent without.
    """

def hello(role: int, strings: tuple[bytes, ...], /) -> bool:
    """Introduce this process: its pidfd over the socket, then KIND_HELLO; returns what `send` does."""

def receive(timeout_ms: int, /) -> tuple[int, int, int, int, int, int, tuple[bytes, ...]] | None:
    """The next message as kind, item, a, b, t0, t1, strings; None after the timeout (-1: none) or a signal."""

def receive_fds() -> tuple[int, int, int, int]:
    """Wait for the descriptors of the next process that is to be forked, in the order in which `attach` takes them."""

def adopt() -> None:
    """Become the one process that may write into the channel."""

def is_producer() -> bool:
    """Whether this process is the one that may write into the channel."""

# --- processes --------------------------------------------------------------------------------------------------------

def die_with_parent(parent: int, /) -> None:
    """Have the kernel kill this process when its parent ends; kills it at once if `parent` is no longer its parent."""

def hide_descriptor(fd: int, /) -> int: ...
def raise_descriptor(fd: int, /) -> int:
    """Move a descriptor to a high number, out of the way of tests that look at theirs; the old one is closed."""

def monotonic_ns() -> int:
    """CLOCK_MONOTONIC, past whatever a test does to Python's clocks."""

# --- what the supervisor reads in shared memory while a test runs, and after it has died ------------------------------

def begin(item: int, mode: int, /) -> None:
    """This process runs `item` from now on."""

def end() -> None:
    """No item runs any more."""

def mark_end() -> None:
    """The item is through, but a death that comes now is still its own: `end` follows."""

def set_phase(phase: int, /) -> None:
    """What the running item is at, a PHASE_*."""

def current_item() -> int:
    """The item that runs, or ran when its process died; NO_ITEM if none."""

def last_item() -> int:
    """The item that was begun last, which may have ended; NO_ITEM if none was."""

def began_ns() -> int:
    """When `begin` was called last."""

def ended_ns() -> int:
    """When `end` was called last."""

def may_run(item: int, /) -> bool:
    """False once the supervisor wants neither this item nor any after it to be started."""

def count_failure() -> None:
    """A report has failed in this process."""

def failures() -> int:
    """How many reports of the run have failed by now; this process' own are known at once."""

def await_terminal(ticket: int, /) -> bool:
    """Wait for the answer to a KIND_TERMINAL with this ticket: whether the terminal may be read from here."""

# --- verdicts: what a process leaves behind for the one that waits for it ---------------------------------------------

def keep() -> None:
    """This process takes the place of the one that waits for it."""

def keep_all() -> None:
    """The same towards all ancestors on this channel: the worker is done."""

def kept_by(pid: int, /) -> bool:
    """Whether that process has called `keep`."""

def leave_verdict(interrupted: bool, /) -> None:
    """This process ends on purpose, and may ask for the session's end."""

def take_verdict(pid: int, /) -> tuple[bool, bool]:
    """Whether that process, which has ended, did so on purpose, and whether it asks for the session's end."""

# --- what this process holds that a fork cannot copy ------------------------------------------------------------------

def guard_mark() -> None:
    """The descriptors and shared mappings that there are now can be copied."""

def guard_findings() -> list[tuple[str, str]]:
    """Kind and description of threads, children and what is new since the mark; see Finding in zygote/guard.h."""

def offsets_save() -> None:
    """Remember the offsets of files that are open for reading: a forked process shares and moves them."""

def offsets_restore() -> None:
    """Put the offsets back where they were saved."""

def writable_files() -> tuple[tuple[int, int, int], ...]:
    """Descriptor, device and inode of the files on disk that are open for writing, standard streams left out."""

def unshare_read_only_files() -> None:
    """Give this process offsets of its own in the files that it has open for reading."""

# --- constants of shm/message.h, where they are explained -------------------------------------------------------------

NO_ITEM: int
STACK_SIGNAL: int
NO_BASE: int

KIND_FORK_CONTROLLER: int
KIND_FORK_WORKER: int
KIND_FORK_BASE: int
KIND_REAP: int
KIND_FINISH: int
KIND_RESUME: int
KIND_MODULES: int
KIND_LATE: int
KIND_GO_SOLO: int
KIND_BECOME_LIVE: int
KIND_RUN: int
KIND_END: int
KIND_CRASH: int
KIND_OUTPUT: int
KIND_PROBLEM: int
KIND_REAPED: int
KIND_BASE_READY: int
KIND_ITEM: int
KIND_COLLECTED: int
KIND_SOLO: int
KIND_MODULE_FILES: int
KIND_GIVING_UP: int
KIND_COLLECT_COUNTS: int
KIND_ROOT: int
KIND_LOADED: int
KIND_WITNESS: int
KIND_STARTED: int
KIND_LOG_START: int
KIND_REPORT: int
KIND_WARNING: int
KIND_LOG_FINISH: int
KIND_AMEND: int
KIND_DONE: int
KIND_CRASHED: int
KIND_EXIT: int
KIND_RUN_DONE: int
KIND_RETIRED: int
KIND_DIFFERENCE: int
KIND_EXPLAINED: int
KIND_JUDGED: int
KIND_CATEGORIES: int
KIND_LIVE: int
KIND_TERMINAL: int
KIND_GATHERS: int
KIND_UNRAISED: int
KIND_IMPORTED: int

ROLE_ZYGOTE: int
ROLE_CONTROLLER: int
ROLE_BASE: int
ROLE_WORKER: int

STAGE_HEADER: int
STAGE_PROGRESS: int
STAGE_SUMMARY: int

PHASE_SETUP: int
PHASE_CALL: int
PHASE_TEARDOWN: int
PHASE_FILL: int
PHASE_POP: int

SNAPSHOT_PUSHED: int
SNAPSHOT_CAME_BACK: int
MODE_SNAPSHOT: int
MODE_FORK: int
MODE_SHARED: int

END_COMPLETE: int
END_INTERRUPTED: int
END_ABANDONED: int

RUN_SHARED: int
RUN_RERUN: int

ITEM_DYNAMIC: int
ITEM_NO_RERUN: int
ITEM_OWN_WORKER: int
ITEM_ORDERED: int

REPORT_FAILED: int
REPORT_SKIPPED: int
REPORT_XFAIL: int
REPORT_BY_MARK: int
REPORT_STRICT: int
REPORT_SUPERSEDES: int

DONE_KEPT: int
DONE_SHOULD_STOP: int
DONE_CONDEMNED: int
DONE_HELD: int
DONE_WARMED: int

# --- modules out of a bytecode image, zygote/import_functions.h -------------------------------------------------------

def bytecode_open(path: str, interpreter_key: str, paranoid: bool, /) -> str:
    """Open an image; why it cannot be used, or "". A reason that is not worth telling begins with a blank."""

def bytecode_install() -> None:
    """Look for imports in the image from here on, before importlib's own finder does."""

def bytecode_rewritten(path: str, /) -> CodeType | None:
    """What pytest's rewriter makes of a source, if the image has it and the source is still the same."""

def bytecode_rewriter_key() -> str:
    """What the rewritten code of the image was made with; "" without an image."""

def bytecode_has(rewritten: bool, path: str, /) -> bool:
    """Whether the image knows a source, as it is or as it was."""

def bytecode_counts() -> tuple[int, int, int, int]:
    """Modules that came from the image, sources that had changed, of the first those that had to be read to know that
    they had not, 1 if the image turned out to be damaged."""

# --- what tests gather, zygote/watch_functions.h ----------------------------------------------------------------------

def watch_fingerprint(
    roots: tuple[tuple[Any, tuple[Any, ...] | None, frozenset[str] | None], ...],
    describe: Callable[[type], tuple[int, dict[str, Any] | None, tuple[Any, ...]]],
    anew: bool = False,
    /,
) -> int:
    """A number over the contents of what is reached from the roots; it differs if they do."""

# --- room for recursion, zygote/recursion_room.h ----------------------------------------------------------------------

def recursion_take_over() -> None:
    """Replace sys.getrecursionlimit and setrecursionlimit by ours, which do not tell of that room."""

def recursion_give_room(frames: int, /) -> None:
    """Let there be room for so many frames more than sys.getrecursionlimit() says."""

# --- numbers that were seen before, in any process of the run, zygote/seen_functions.h ----------------------------------

def seen_open() -> None:
    """Before the first fork: make the table that all share. What it forgets is seen as new once more."""

def seen_all(owner: int, elements: Iterable[int] | Iterable[tuple[int, int]], /) -> bool:
    """Whether it has all these numbers, or pairs, of that owner: a hash of 64 bits."""

def seen_missing(owner: int, elements: Iterable[_Element], /) -> list[_Element]:
    """Those that it does not have."""

def seen_add(owner: int, elements: Iterable[int] | Iterable[tuple[int, int]], /) -> None:
    """From now on it has them."""

# --- the snapshot engine, zygote/rewinder.h ---------------------------------------------------------------------------

def oracle_open() -> None:
    """Before the fork of a process that will be rewound: it is going to be verified, see zygote/oracle.h."""

def oracle_watch(child: int, /) -> tuple[int | None, int, list[str]]:
    """Wait for its end (then with its wait status) or its next stop; the last item, and what is not as it was."""

def oracle_resume(child: int, /) -> None:
    """Let it go on after a stop."""

def snapshot_open(name: str, /) -> str:
    """Make this process one that can be rewound; "" or why it cannot be."""

def snapshot_forget() -> None:
    """In a forked child: it has no engine."""

def snapshot_push() -> int:
    """Capture the present state as the top layer: SNAPSHOT_PUSHED, or something else if it was refused.

    Returns again, with SNAPSHOT_CAME_BACK, whenever `snapshot_rewind` came back to it.
    """

def snapshot_passage() -> tuple[int, int, bytes]:
    """What the last rewind was given, position and flags, and what it did, as shm/rewind_report.h has it."""

def snapshot_age() -> tuple[int, int]:
    """Rewinds of this process, and bytes that copies of its memory have taken."""

def snapshot_refusal() -> str:
    """Why the last push, check or rewind was refused."""

def snapshot_check() -> str:
    """What is in the way of a rewind to the top layer; "" if nothing is."""

def snapshot_same_descriptors() -> bool:
    """Whether the same files are open as when the top layer was pushed; False if that cannot be told."""

def snapshot_rewind(position: int, flags: int, imports: int, /) -> None:
    """Go back to the top layer; returns only if that is impossible. `imports` is for the report."""

def snapshot_drop() -> None:
    """Forget the top layer; the present state goes on above the layer below."""
