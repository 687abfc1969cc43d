"""Drives the real tach-supervisor (and pytest, to compare) in a temporary project, in a pipe and in a pty.

Every run carries a variable of its own in its environment, by which its processes are found in /proc: each run ends
with the assertion that none is left. The timeouts here are guards against hangs; nothing asserts how long a run takes.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("TACH_BUILD_DIR", ROOT / "build"))
SUPERVISOR = Path(os.environ.get("TACH_SUPERVISOR", BUILD / "supervisor" / "tach-supervisor"))


def _stage(room: str) -> Path:
    """Beside the supervisor where it is installed, in a room of its own where it is built."""
    installed = SUPERVISOR.parent / f"tach-{room}"
    return installed if installed.is_file() else SUPERVISOR.parent.parent / room / f"tach-{room}"


ANALYZER = Path(os.environ.get("TACH_ANALYZER") or _stage("analyzer"))
COMPILER = Path(os.environ.get("TACH_COMPILER") or _stage("compiler"))


def _default_engine() -> str:
    if not SUPERVISOR.is_file():
        return "fork"  # pytest_sessionstart says so
    report = subprocess.run([str(SUPERVISOR), "doctor"], capture_output=True, text=True, check=False).stdout
    chosen = re.search(r"^engine (\S+) .*is chosen$", report, re.MULTILINE)
    return chosen[1] if chosen else "fork"


# The engine that all tests run on, and the mode that isolated tests then have.
ENGINE = os.environ.get("TACH_TEST_ENGINE") or _default_engine()
ISOLATED = "fork" if ENGINE == "fork" else "snapshot"

# The interpreter of an environment with other people's plugins (.ci/requirements-plugins.txt), which `./dev` makes.
_plugins_python = Path(os.environ.get("TACH_PLUGINS_PYTHON", BUILD / "venv-plugins" / "bin" / "python"))

TIMEOUT_S = 60.0
# What the keeper is given to end what a run has left, from the end of the supervisor on.
SWEEP_S = 1.0
# A rewound process takes the wide fixtures that are set up in it along when it dies.
forks_layers = pytest.mark.skipif(ENGINE != "fork", reason="only the fork engine has a process for each layer")
MARKER = "TACH_PROGRAM_TEST"
# They would change what is tested, or how it is shown.
UNWANTED = (
    "PYTEST_",
    "PYTHON",
    "VIRTUAL_ENV",
    "NO_COLOR",
    "FORCE_COLOR",
    "PY_COLORS",
    "COLUMNS",
    "TACH_",
    "CI",
)

COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed|crashed|deselected|warnings?)\b")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@functools.cache
def _installed_plugins() -> frozenset[str]:
    """Names of the modules that are to be had at the top level of the environment with plugins."""
    if not _plugins_python.is_file():
        return frozenset()
    code = "import pkgutil; print(*{module.name for module in pkgutil.iter_modules()})"
    listing = subprocess.run([str(_plugins_python), "-c", code], capture_output=True, text=True, check=True)
    return frozenset(listing.stdout.split())


def plugins_python() -> str:
    """The interpreter of the environment with plugins; for `Project(path, plugins_python())`."""
    return str(_plugins_python)


def needs_plugin(*modules: str) -> pytest.MarkDecorator:
    """The test is skipped where one of these modules is missing from the environment with plugins."""
    if not _plugins_python.is_file():
        why = f"{_plugins_python}: not there; run ./dev test, or set TACH_PLUGINS_PYTHON"
    else:
        missing = [module for module in modules if module not in _installed_plugins()]
        why = f"{_plugins_python} has no {', '.join(missing)}" if missing else ""
    return pytest.mark.skipif(bool(why), reason=why or "installed")


def clean_environment(**changes: str) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(UNWANTED)}
    return {**environment, **changes}


def wait_until(condition: Callable[[], Any], timeout: float = TIMEOUT_S) -> Any:
    """Poll until the condition is true, and return its value; or what it is at the end of the timeout."""
    deadline = time.monotonic() + timeout
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return value


def processes_of(mark: str) -> list[int]:
    """The processes that have this mark in the environment they were started with."""
    wanted = f"{MARKER}={mark}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in Path("/proc", entry, "environ").read_bytes().split(b"\0"):
                    found.append(int(entry))
    return found


def command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    return ""


def waits_in(pid: int) -> str:
    """The function of the kernel that a process waits in."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/wchan").read_text()
    return ""


def kill_all(mark: str) -> None:
    for pid in processes_of(mark):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def assert_nothing_left(mark: str) -> None:
    wait_until(lambda: not processes_of(mark), SWEEP_S)
    left = [f"{pid}: {command_line(pid)}" for pid in processes_of(mark)]
    if left:
        kill_all(mark)
        raise AssertionError("processes are left: " + "; ".join(left))


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """pytest's last line, as counts; in the singular."""
        plain = ESCAPES.sub("", self.out)
        lines = [line for line in plain.splitlines() if re.search(r" in \d+\.\d+s", line)]
        assert lines, f"there is no line with counts:\n{self}"
        found = {kind: int(count) for count, kind in COUNT.findall(lines[-1])}
        singular = {"errors": "error", "warnings": "warning"}
        return {singular.get(kind, kind): count for kind, count in found.items()}

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    def __str__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"

    def expect(self, code: int, **counts: int) -> Result:
        """Assert the exit code and all the counts."""
        assert self.code == code, str(self)
        if counts:
            assert self.counts == counts, str(self)
        return self


class Report:
    """What `--format json` printed."""

    def __init__(self, result: Result) -> None:
        self.code = result.code
        self.err = result.err
        try:
            self.data: dict[str, Any] = json.loads(result.out)
        except ValueError:
            raise AssertionError(f"stdout is no JSON: {result}") from None

    @property
    def summary(self) -> dict[str, int]:
        return {kind: count for kind, count in self.data["summary"].items() if count}

    @property
    def tests(self) -> list[dict[str, Any]]:
        return list(self.data["tests"])

    @property
    def outcomes(self) -> dict[str, str]:
        return {test["nodeid"].partition("::")[2]: test["outcome"] for test in self.tests}

    @property
    def modes(self) -> dict[str, str]:
        return {test["nodeid"].partition("::")[2]: test["mode"] for test in self.tests}

    def test(self, name: str) -> dict[str, Any]:
        """The one test whose node id ends like this."""
        found = [test for test in self.tests if test["nodeid"].endswith(name)]
        assert len(found) == 1, f"{name}: {self}"
        return found[0]

    def __str__(self) -> str:
        tests = "".join(f"  {t['nodeid']} {t['outcome']} {t['message']!r} {t['note']!r}\n" for t in self.tests)
        return f"exit code {self.code}, {self.summary}\n{tests}--- stderr\n{self.err}"

    def expect(self, code: int, **summary: int) -> Report:
        assert self.code == code, str(self)
        if summary:
            assert self.summary == summary, str(self)
        return self


# For a tach.toml where all tests are to be rewound: what the sources show of private mappings and of the C library.
HARMLESS_RULES = "".join(
    f"[[toxicity.rule]]\npattern = '{pattern}'\nlevel = 'silent'\nbecause = 'a rewind restores ours'\n"
    for pattern in ("mmap.mmap", "ctypes.CDLL")
)


def as_in_a_terminal() -> None:
    """In a child before its exec: a shell's background job, or nohup, would hand down signals that are ignored."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


class Run:
    """A run that is under way."""

    def __init__(self, command: list[str], cwd: Path, env: dict[str, str], terminal: bool = False, **how: Any) -> None:
        self.mark = uuid.uuid4().hex
        self._chunks: list[bytes] = []
        self._error_chunks: list[bytes] = []
        self._readers: list[threading.Thread] = []
        self.master = -1
        how = {"cwd": cwd, "env": {**env, MARKER: self.mark}, "start_new_session": True, **how}
        if terminal:
            self._start_in_terminal(command, how)
        else:
            how.setdefault("stdin", subprocess.DEVNULL)
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(command, stdout=pipe, stderr=pipe, preexec_fn=as_in_a_terminal, **how)
            assert self.process.stdout is not None and self.process.stderr is not None
            self._collect(self.process.stdout.fileno(), self._chunks)
            self._collect(self.process.stderr.fileno(), self._error_chunks)

    def _start_in_terminal(self, command: list[str], how: dict[str, Any]) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

        def control() -> None:
            as_in_a_terminal()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, preexec_fn=control, **how)
        os.close(slave)
        self._collect(self.master, self._chunks)

    def _collect(self, descriptor: int, chunks: list[bytes]) -> None:
        def read() -> None:
            # A pty whose other side is closed answers with an error.
            with contextlib.suppress(OSError):
                while chunk := os.read(descriptor, 1 << 16):
                    chunks.append(chunk)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        self._readers.append(reader)

    @property
    def output(self) -> str:
        return b"".join(self._chunks).decode("utf-8", "replace")

    def type(self, keys: bytes) -> None:
        """Type on the run's terminal."""
        os.write(self.master, keys)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait_for(self, condition: Callable[[], Any]) -> Any:
        """Wait for something that the run does."""
        value = wait_until(lambda: condition() or self.process.poll() is not None)
        value = condition() or value
        if value is True and not condition() or not value:
            self.stop()
            raise AssertionError(f"it did not happen: {self._result()}")
        return value

    def stop(self) -> None:
        kill_all(self.mark)
        self.process.wait()

    def finish(self, timeout: float = TIMEOUT_S) -> Result:
        """Wait for the end; fail if it does not come, or if a process is left behind."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            waiting = "\n".join(f"{pid}: {waits_in(pid)}: {command_line(pid)}" for pid in processes_of(self.mark))
            self.stop()
            raise AssertionError(f"no end within {timeout} s: {self._result()}\n--- processes\n{waiting}") from None
        assert_nothing_left(self.mark)
        return self._result()

    def _result(self) -> Result:
        for reader in self._readers:
            reader.join(SWEEP_S)
        if self.master >= 0:
            os.close(self.master)
            self.master = -1
        errors = b"".join(self._error_chunks).decode("utf-8", "replace")
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return Result(self.process.returncode, self.output, errors)


class Project:
    """A directory with a test suite."""

    def __init__(self, path: Path, python: str = sys.executable) -> None:
        self.path = path
        self.python = python

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def write(self, name: str, content: str = "") -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(content).lstrip("\n"), encoding="utf-8")
        return file

    def log(self, name: str = "log") -> list[str]:
        """The lines that tests wrote into a file of the project."""
        file = self.path / name
        return file.read_text().splitlines() if file.exists() else []

    def start(
        self,
        *words: str,
        env: dict[str, str] | None = None,
        terminal: bool = False,
        python: str | None = None,
        **how: Any,
    ) -> Run:
        interpreter = python or self.python
        engine = [] if "--engine" in words else ["--engine", ENGINE]
        ours = (
            [*words, "--python", interpreter]
            if words[:1] == ("doctor",)
            else ["--python", interpreter, *engine, *words]
        )
        command = [str(SUPERVISOR), *ours]
        return Run(command, how.pop("cwd", self.path), clean_environment(**(env or {})), terminal, **how)

    def tach(self, *words: str, env: dict[str, str] | None = None, timeout: float = TIMEOUT_S, **how: Any) -> Result:
        return self.start(*words, env=env, **how).finish(timeout)

    def terminal(self, *words: str, env: dict[str, str] | None = None) -> Result:
        return self.start(*words, env={"TERM": "xterm", **(env or {})}, terminal=True).finish()

    def json(self, *words: str, env: dict[str, str] | None = None, **how: Any) -> Report:
        return Report(self.tach("--format", "json", *words, env=env, **how))

    def analyze(self, *words: str, **how: Any) -> Result:
        return Run([str(ANALYZER), *words], how.pop("cwd", self.path), clean_environment(), **how).finish()

    def pytest(self, *words: str, env: dict[str, str] | None = None, python: str | None = None) -> Result:
        command = [python or self.python, "-m", "pytest", *words]
        return Run(command, self.path, clean_environment(**(env or {}))).finish()


@contextlib.contextmanager
def temporary_mode(path: Path, mode: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)
