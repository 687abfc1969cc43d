"""The interpreter's side of tach-compiler: turns sources into code objects for as long as the stage asks it to.

Started by tach-compiler as `EXE child.py KEYS VERSION INI`, with the user's interpreter and environment. KEYS is the
path of harness/tach_harness/bytecode.py, VERSION is tach's, INI is the project's ini file ("" if there is none). It
talks over descriptor 3, a stream socket, and ends when that does. It writes no file, and imports nothing of the
project: sources come with the requests.

All numbers are little-endian. compiler/frames.h has the same:

    request  kind u32, path size u32, source size u64, number u64; path; source
             0 compile it as the interpreter does, 1 by pytest's assertion rewriter, 2 get the rewriter ready
    answer   kind u32, line u32, size u64, number u64 (of the request; 0 if there is none); that many bytes
             0 hello, sent once without being asked: the interpreter's key, and paths of files by which it can be
               known again, each ended by a NUL
             1 the code object, marshalled
             2 it cannot be compiled, or warns: why, and in which line (0: none)
             3 the rewriter is ready: its key
             4 there is no rewriter: why
"""

from __future__ import annotations

import os
import sys

# Before anything is imported: names of files beside this one must not hide others.
if sys.path and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
    del sys.path[0]

# As little as possible: one changed module costs one start of this.
import marshal  # noqa: E402
import struct  # noqa: E402
import warnings  # noqa: E402
from importlib.util import find_spec  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

SOCKET = 3
PLAIN, REWRITTEN, REWRITER = range(3)
HELLO, CODE, REFUSED, REWRITER_READY, NO_REWRITER = range(5)
REQUEST = struct.Struct("<IIQQ")
ANSWER = struct.Struct("<IIQQ")
HOOK_OPTION = "enable_assertion_pass_hook"


class Connection:
    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor
        self._number = 0  # of the request that is answered next

    def _receive(self, size: int) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = os.readv(self._descriptor, [view])
            if count == 0:
                raise EOFError
            view = view[count:]
        return bytes(data)

    def receive(self) -> tuple[int, str, bytes]:
        kind, path_size, source_size, self._number = REQUEST.unpack(self._receive(REQUEST.size))
        return kind, os.fsdecode(self._receive(path_size)), self._receive(source_size)

    def send(self, kind: int, content: bytes, line: int = 0) -> None:
        view = memoryview(ANSWER.pack(kind, line, len(content), self._number) + content)
        while view:
            view = view[os.write(self._descriptor, view) :]


def load_keys(path: str) -> dict[str, Any]:
    """The functions of bytecode.py. Not imported, which would write its bytecode where tach is installed."""
    names: dict[str, Any] = {"__name__": "tach_bytecode_keys", "__file__": path}
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec", dont_inherit=True), names)
    return names


def mapped_libraries() -> list[str]:
    """The interpreter's own code, where it is in a library."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        paths = (line.split(maxsplit=5)[-1].rstrip("\n") for line in maps if "/libpython" in line)
        return sorted({path for path in paths if path.startswith("/")})


def pytest_files() -> list[str]:
    """Where the rewriter is, if pytest is installed."""
    try:
        spec = find_spec("_pytest")
    except (ImportError, ValueError, AttributeError):
        spec = None
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return [os.path.join(places[0], name) for name in ("assertion/rewrite.py", "_version.py")] if places else []


def identity_files() -> list[str]:
    executable = os.path.realpath("/proc/self/exe")
    return [executable, *mapped_libraries(), os.path.join(sys.prefix, "pyvenv.cfg"), *pytest_files()]


class Rewriter:
    """pytest's, and as much of a configuration as it looks at."""

    def __init__(self, ini_file: str) -> None:
        from _pytest.assertion.rewrite import rewrite_asserts

        self.pass_hook = ini_file != "" and self._pass_hook_of(ini_file)
        self._rewrite = rewrite_asserts

    @staticmethod
    def _pass_hook_of(ini_file: str) -> bool:
        from pathlib import Path

        from _pytest.config import _strtobool
        from _pytest.config.findpaths import load_config_dict_from_file

        try:
            settings: Any = load_config_dict_from_file(Path(ini_file)) or {}
            value = settings.get(HOOK_OPTION, False)
            value = getattr(value, "value", value)  # pytest 9 says where each one is from
            return value if isinstance(value, bool) else _strtobool(str(value).strip())
        except BaseException:  # of pytest.fail(), too
            return False  # pytest will say what is wrong there

    def getini(self, name: str) -> Any:
        if name != HOOK_OPTION:
            raise ValueError(name)
        return self.pass_hook

    def compile(self, source: bytes, path: str) -> CodeType:
        import ast

        # What _pytest.assertion.rewrite._rewrite_test does with a file.
        tree = ast.parse(source, filename=path)
        self._rewrite(tree, source, path, self)  # type: ignore[arg-type]
        return compile(tree, path, "exec", dont_inherit=True)


class Compiler:
    def __init__(self, connection: Connection, keys: dict[str, Any], ini_file: str) -> None:
        self._connection = connection
        self._keys = keys
        self._ini_file = ini_file
        self._rewriter: Rewriter | None = None

    def prepare_rewriter(self) -> None:
        """pytest takes long to import, so that it is only done when it is needed."""
        try:
            if self._rewriter is None:
                self._rewriter = Rewriter(self._ini_file)
            key = self._keys["rewriter_key"](self._rewriter.pass_hook)
        except (Exception, SystemExit) as error:
            self._connection.send(NO_REWRITER, one_line(f"{type(error).__name__}: {error}"))
        else:
            self._connection.send(REWRITER_READY, key.encode())

    def answer(self, kind: int, path: str, source: bytes) -> None:
        if kind == REWRITER:
            self.prepare_rewriter()
            return
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                code = self._compile(kind, path, source)
        except SyntaxError as error:
            self._connection.send(REFUSED, one_line(f"{type(error).__name__}: {error.msg}"), line_of(error.lineno))
        except Exception as error:  # null bytes, an unknown encoding, nesting that is too deep
            self._connection.send(REFUSED, one_line(f"{type(error).__name__}: {error}"))
        else:
            if caught:
                # To be shown each time that it is compiled, by the interpreter itself.
                warning = caught[0]
                text = f"{warning.category.__name__}: {warning.message}"
                self._connection.send(REFUSED, one_line(text), line_of(warning.lineno))
            else:
                self._connection.send(CODE, marshal.dumps(code))

    def _compile(self, kind: int, path: str, source: bytes) -> CodeType:
        if kind == PLAIN:
            # What importlib's SourceLoader.source_to_code does.
            code: CodeType = compile(source, path, "exec", dont_inherit=True, optimize=-1)
            return code
        assert kind == REWRITTEN and self._rewriter is not None
        return self._rewriter.compile(source, path)


def one_line(text: str) -> bytes:
    return " ".join(text.split()).encode("utf-8", "replace")


def line_of(number: int | None) -> int:
    return max(number or 0, 0)


def main(keys_path: str, version: str, ini_file: str) -> None:
    connection = Connection(SOCKET)
    keys = load_keys(keys_path)
    hello = [keys["interpreter_key"](version), *identity_files()]
    connection.send(HELLO, b"".join(os.fsencode(text) + b"\0" for text in hello))
    compiler = Compiler(connection, keys, ini_file)
    while True:
        try:
            kind, path, source = connection.receive()
        except (EOFError, ConnectionError):
            return
        compiler.answer(kind, path, source)


if __name__ == "__main__":
    main(*sys.argv[1:])
