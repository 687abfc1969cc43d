"""What a listing depends on: watched while pytest collects for `--list`, and told to tach-supervisor at the very end.

The supervisor shows the same listing again, without an interpreter, as long as all of it is as it was (listing.h). So
whatever can make a difference to collection must be seen here, or be a reason not to remember the listing:

* files that were read, and those of all modules; directories that were listed, and those modules are looked for in;
  paths that were only looked at (does it exist?). Audit events tell of the first two. There is none for the last, so
  the functions of `os` are stood in for;
* what cannot be compared later is a reason: other programs, the network, numbers drawn from `random`, the clock or
  chance asked for while a test module or conftest is imported;
* what a listing does beside listing is a reason, too: text past pytest's own reporter, files it writes or removes.

Of what is installed only names, versions and loaded modules count. Not seen: the clock or chance asked for inside of a
function that is called on import, files opened by extension modules, and what the C library reads.

Started before pytest is imported, and nothing here imports anything that pytest or a plugin would want to see being
imported: only modules that CPython or pytest loads anyway.
"""

from __future__ import annotations

import atexit
import dis
import os
import random
import site
import sys
import sysconfig
import time
from types import CodeType
from typing import Any

CLOCK_REALTIME_COARSE = 5  # of linux/time.h; the clock of the times that the kernel gives files

OTHER_WORLD = {
    "os.exec": "a program",
    "os.fork": "a process",
    "os.forkpty": "a process",
    "os.posix_spawn": "a program",
    "os.system": "a program",
    "pty.spawn": "a program",
    "shutil.chown": "a change of files",
    "socket.bind": "the network",
    "socket.connect": "the network",
    "socket.getaddrinfo": "the network",
    "socket.gethostbyaddr": "the network",
    "socket.gethostbyname": "the network",
    "socket.sendmsg": "the network",
    "socket.sendto": "the network",
    "sqlite3.connect": "a database",
    "subprocess.Popen": "a program",
    "urllib.Request": "the network",
}
CHANGES = frozenset(
    f"os.{name}" for name in ("chmod", "link", "mkdir", "remove", "rename", "rmdir", "symlink", "truncate")
) | {"shutil.rmtree", "shutil.move", "tempfile.mkdtemp"}
CLOCK_OR_CHANCE = frozenset(
    ("SystemRandom", "gmtime", "localtime", "now", "time_ns", "today", "token_bytes", "token_hex", "token_urlsafe")
    + ("urandom", "utcnow", "uuid1", "uuid4")
)
LOADS = ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_ATTR", "LOAD_METHOD")
NOT_FILES = ("/proc/", "/sys/", "/dev/")
HARMLESS_DEVICES = (os.devnull, "/dev/tty", "/dev/stdin", "/dev/stdout", "/dev/stderr")
# pytest makes its cache directory under this name first.
CACHE_IN_THE_MAKING = "/pytest-cache-files-"


class _StandIn:
    """Stands for a function of `os` and notes the paths that it is called with, and what was there.

    No function, since those become methods in a class' body and built-in ones do not.
    """

    def __init__(self, function: Any, look: Any, seen: dict[str, int]) -> None:
        self._function = function
        self._look = look  # os.stat or os.lstat
        self._seen = seen

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        path = args[0] if args else kwargs.get("path")
        if type(path) is not int and kwargs.get("dir_fd") is None:
            absolute = _absolute(path)
            if absolute is not None:
                try:
                    self._seen[absolute] = self._look(absolute).st_mode
                except (OSError, ValueError):
                    self._seen[absolute] = 0
        return self._function(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)


def _absolute(path: Any) -> str | None:
    """None for what is no path, or none that can be found again."""
    try:
        name = os.fsdecode(path)
        return name if name.startswith("/") else os.path.abspath(name)
    except (TypeError, ValueError, OSError):
        return None


class _Witness:
    def __init__(self) -> None:
        self.process = os.getpid()
        self.started = time.clock_gettime_ns(CLOCK_REALTIME_COARSE)
        self.rootdir = ""
        self.cache = ""  # pytest's cache directory
        self.reasons: dict[str, None] = {}
        self.read: set[str] = set()
        self.written: set[str] = set()
        self.changed: set[tuple[str, str]] = set()
        self.listed: set[str] = set()
        self.looked_at: dict[str, int] = {}  # -> st_mode, 0 if nothing was there
        self.links: dict[str, int] = {}
        self.executed: dict[str, CodeType] = {}
        self.random = random.getstate()
        self.installed = tuple(f"{directory}/" for directory in _installed_directories())
        self.hears = {
            "open": self._opened,
            "os.listdir": self._listed,
            "os.scandir": self._listed,
            "exec": self._executed,
        }

    # --- watching -----------------------------------------------------------------------------------------------

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        if event in self.hears:
            self.hears[event](args)
        elif event in OTHER_WORLD:
            self.refuse(f"collecting the tests asks {OTHER_WORLD[event]} ({event})")
        elif event in CHANGES:
            self.changed.update((event, path) for path in map(_absolute, args) if path is not None)

    def refuse(self, why: str) -> None:
        self.reasons.setdefault(why)

    def _opened(self, args: tuple[Any, ...]) -> None:
        path, _, flags = args
        name = _absolute(path) if type(path) is not int else None
        if name is None:
            return
        if name.startswith(NOT_FILES):
            if name not in HARMLESS_DEVICES and not self._is_installed_code_asking():
                self.refuse(f"collecting the tests reads {name}")
            return
        access = flags & os.O_ACCMODE
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            return
        if access != os.O_WRONLY and not flags & os.O_TRUNC:
            self.read.add(name)
        if access != os.O_RDONLY:
            self.written.add(name)

    def _is_installed_code_asking(self) -> bool:
        frame = sys._getframe(2)
        while frame is not None and frame.f_code.co_filename == __file__:
            frame = frame.f_back  # type: ignore[assignment]
        return frame is None or frame.f_code.co_filename.startswith((*self.installed, "<frozen"))

    def _listed(self, args: tuple[Any, ...]) -> None:
        if type(args[0]) is not int:
            name = _absolute("." if args[0] is None else args[0])
            if name is not None:
                self.listed.add(name)

    def _executed(self, args: tuple[Any, ...]) -> None:
        code = args[0]
        name = code.co_filename if isinstance(code, CodeType) else ""
        if name.startswith("/") and not name.startswith(self.installed):
            self.executed[name] = code

    # --- telling ------------------------------------------------------------------------------------------------

    def tell(self) -> None:
        """The last thing that the interpreter does."""
        if os.getpid() != self.process:
            return
        from .link import native, send

        if not self.rootdir:
            self.refuse("nothing was collected")
        if random.getstate() != self.random:
            self.refuse("collecting the tests draws or seeds random numbers")
        looks = {**self.looked_at}, {**self.links}  # what follows looks, too
        files = {path for path in self.read if not os.path.isdir(path)} | self._module_files()
        files = {path for path in files if not self._is_derived(path)}
        searched = {os.path.abspath(entry or ".") for entry in sys.path}
        written = self._judge_changes()
        installed = {file for file in files if self._is_installed(file)} | self._metadata()
        lists = [
            files - installed - written,
            written,
            searched | {d for d in self.listed if not (self._is_installed(d) or self._is_derived(d))},
            installed,
            {f"s{mode} {path}" for path, mode in looks[0].items() if self._matters(path)}
            | {f"l{mode} {path}" for path, mode in looks[1].items() if self._matters(path)},
        ]
        if any(not _travels(path) for paths in lists for path in paths):
            self.refuse("a file's name is not UTF-8")
        strings = (self.rootdir, *map("\0".join, [self.reasons, *map(sorted, lists)]))
        send(native.KIND_WITNESS, t0=self.started, strings=tuple(map(os.fsencode, strings)))

    def _module_files(self) -> set[str]:
        files: set[str] = set()
        for module in list(sys.modules.values()):
            origin = getattr(getattr(module, "__spec__", None), "origin", None)
            for file in (getattr(module, "__file__", None), origin):
                if isinstance(file, str) and file.startswith("/"):
                    files.add(file)
        return files

    def _metadata(self) -> set[str]:
        """What says which distributions there are and which plugins they bring."""
        found: set[str] = set()
        for directory in sys.path:
            if not self._is_installed(directory):
                continue
            try:
                names = os.listdir(directory)
            except OSError:
                continue
            for name in names:
                path = f"{directory}/{name}"
                if name.endswith((".dist-info", ".egg-info")):
                    found |= {path, f"{path}/entry_points.txt"}
                elif name.endswith((".pth", ".egg-link")):
                    found.add(path)
        return found | {f"{sys.prefix}/pyvenv.cfg", sys.executable}

    def _judge_changes(self) -> set[str]:
        """Files that were written to pytest's cache, which it does in the same way each time; all else is a reason."""
        for event, path in self.changed:
            if not self._is_derived(path):
                self.refuse(f"collecting the tests changes {path} ({event})")
        # A directory is "written" by who opens a file in it that has no name.
        for path in sorted(p for p in self.written if not (self._is_derived(p) or os.path.isdir(p))):
            self.refuse(f"collecting the tests writes {path}")
        return {path for path in self.written if self._is_in_cache(path)}

    def _is_installed(self, path: str) -> bool:
        return f"{path}/".startswith(self.installed)

    def _is_in_cache(self, path: str) -> bool:
        return bool(self.cache) and f"{path}/".startswith(f"{self.cache}/")

    def _is_derived(self, path: str) -> bool:
        """Whether nothing depends on the path that does not depend on something else."""
        import tempfile

        temporary = os.path.dirname(path) == (tempfile.tempdir or "")
        own = path.endswith("/__pycache__") or "/__pycache__/" in path or CACHE_IN_THE_MAKING in path
        return temporary or own or (self._is_in_cache(path) and path not in self.read)

    def _matters(self, path: str) -> bool:
        return not (self._is_installed(path) or self._is_derived(path) or path.startswith(NOT_FILES))


def _travels(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _installed_directories() -> set[str]:
    paths = sysconfig.get_paths()
    names = {paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")} | set(site.getsitepackages())
    names |= {site.getusersitepackages(), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}
    return names | {os.path.realpath(name) for name in names}


def _asks_clock_or_chance(code: CodeType) -> str:
    """What code that runs on import asks for; "" if nothing. Bodies of classes and comprehensions run then, too."""
    previous = ""
    if not CLOCK_OR_CHANCE.isdisjoint(code.co_names) or "time" in code.co_names:
        for instruction in dis.get_instructions(code):
            name = instruction.argval
            if instruction.opname in LOADS:
                if name in CLOCK_OR_CHANCE:
                    return str(name)
                if name == previous == "time":
                    return "time.time"
            previous = name
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            is_body = not constant.co_flags & 1  # CO_OPTIMIZED, which all functions have
            if is_body or constant.co_name.startswith(("<", "pytest_")):
                found = _asks_clock_or_chance(constant)
                if found:
                    return found
    return ""


_witness: _Witness | None = None


def start() -> None:
    """Watch from now on; once, before pytest is imported."""
    global _witness
    _witness = _Witness()
    _stand_in(_witness)
    _watch_output(_witness)
    atexit.register(_witness.tell)  # the first one: it runs last
    sys.addaudithook(_witness.hear)


def _stand_in(witness: _Witness) -> None:
    for name, look, seen in (
        ("access", os.stat, witness.looked_at),
        ("stat", os.stat, witness.looked_at),
        ("lstat", os.lstat, witness.links),
    ):
        function = getattr(os, name)
        stand_in: Any = _StandIn(function, look, seen)
        setattr(os, name, stand_in)
        for capability in (os.supports_fd, os.supports_dir_fd, os.supports_follow_symlinks, os.supports_effective_ids):
            if function in capability:
                capability.add(stand_in)
    accessor = getattr(sys.modules.get("pathlib"), "_NormalAccessor", None)  # Python 3.10 binds it when it is imported
    if accessor is not None:
        accessor.stat = os.stat


def _watch_output(witness: _Witness) -> None:
    """Text that is not pytest's reporter's: the supervisor cannot know it."""

    def watched(function: Any) -> Any:
        def write(data: Any) -> Any:
            if data:
                witness.refuse("something else than pytest's own reporter prints")
            return function(data)

        return write

    for stream in (sys.stdout, sys.stderr):
        for file in (stream, getattr(stream, "buffer", None)):
            if file is not None:
                file.write = watched(file.write)  # type: ignore[method-assign]


def pytest_begins() -> None:
    """Nobody but plugins and the suite uses `random` from now on."""
    if _witness is not None:
        _witness.random = random.getstate()


def warned(warning: Any) -> None:
    """pytest has recorded a warning. The compiler's are gone once what it made is cached."""
    if _witness is not None and (
        issubclass(warning.category, SyntaxWarning) or str(warning.message).startswith("invalid escape sequence")
    ):
        _witness.refuse("a warning of the compiler is not given again")


def collected(session: Any) -> None:
    """pytest knows its items."""
    if _witness is None:
        return
    witness = _witness
    witness.rootdir = str(session.config.rootpath)
    cache = getattr(session.config, "cache", None)
    witness.cache = str(cache._cachedir) if cache is not None else ""
    tests = {str(item.path) for item in session.items}
    witness.read |= tests
    if any(witness._is_installed(file) for file in tests):
        witness.refuse("tests of an installed package are not watched for changes")
    for file, code in witness.executed.items():
        if file in tests or os.path.basename(file) == "conftest.py":
            asked = _asks_clock_or_chance(code)
            if asked:
                witness.refuse(f"{file} asks for the time or for chance ({asked})")
