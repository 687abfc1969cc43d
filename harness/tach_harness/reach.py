"""What code of the suite may read: its names, followed through the functions, classes and modules that they stand for.

For `watch.py`. An attribute that no code names cannot be read by it, but for code that asks for all there are; so what a
test changes beside the names is nobody's loss. Libraries are not followed: what they are given is looked at as a whole.
"""

from __future__ import annotations

import argparse
import dis
import functools
import gc
import io
import itertools
import os
import sys
from collections import UserDict, UserList, deque
from collections.abc import Iterable
from contextlib import suppress
from types import CellType, CodeType, FrameType, FunctionType, GeneratorType, MethodType, ModuleType, SimpleNamespace
from typing import Any

# Root of native.watch_fingerprint.
Root = tuple[Any, "tuple[Any, ...] | None", "frozenset[str] | None"]

# Code with one of these may read what it does not name.
READS_ALL = frozenset(
    "__dict__ __getstate__ __reduce_ex__ asdict astuple deepcopy dump dumps eval exec globals locals model_dump pickle "
    "to_dict vars".split()
)
# Methods that only a class is asked for.
MAKING = frozenset({"__init__", "__new__", "__post_init__", "__init_subclass__", "__set_name__", "__class_getitem__"})
# Classes of Python's own that only hold what they are given.
HOLDERS = (SimpleNamespace, argparse.Namespace, UserDict, UserList)
# A guess: the hooks of a large plugin call some hundred functions of it.
MOST_CODE = 2000

OPAQUE, INSTANCE, ITERABLE, UNORDERED, SHOWN, VALUE, BYTES = (
    0,
    1,
    2,
    4,
    8,
    16,
    32,
)  # WatchKind of zygote/watch_functions

_OURS = frozenset({"_pytest", "pytest", "pluggy", "tach_harness", "_tach"})
_STANDARD = os.path.dirname(os.__file__) + os.sep


def namespace_of(module: Any) -> dict[str, Any] | None:
    """What a module holds, looked at without running anything; None if it is none.

    `sys.modules` may hold whatever a suite has put there, modules that are loaded when they are touched among it.
    """
    if not issubclass(type(module), ModuleType):
        return None
    found: dict[str, Any] = object.__getattribute__(module, "__dict__")
    return found


def file_of(module: Any) -> str | None:
    """Where a module came from, found out likewise."""
    file = (namespace_of(module) or {}).get("__file__")
    return file if type(file) is str else None


def is_suites(module: str, file: str | None = None) -> bool:
    """Whether a module, by its name, is neither Python's, nor pytest's, nor installed."""
    top = module.partition(".")[0]
    if top in _OURS or top in sys.stdlib_module_names:
        return False
    file = file or file_of(sys.modules.get(module))
    if file is None:
        return module not in sys.modules  # a class of a module that pytest has imported without telling
    parts = file.split(os.sep)
    return not (file.startswith(_STANDARD) or "site-packages" in parts or "dist-packages" in parts)


def _class_dict(cls: type) -> dict[str, Any] | None:
    """The dict itself, which `cls.__dict__` only shows."""
    for referent in gc.get_referents(cls):
        if type(referent) is dict and "__module__" in referent and "__doc__" in referent:
            return referent
    return None


def _slots(cls: type) -> tuple[Any, ...]:
    return tuple(
        value
        for base in cls.__mro__
        if base.__module__ != "builtins"
        for value in vars(base).values()
        if type(value).__name__ == "member_descriptor"
    )


def plain_function(value: Any) -> FunctionType | None:
    """What is below decorators of Python's own, if it is code."""
    for _ in range(10):
        if issubclass(type(value), FunctionType):
            function: FunctionType = value
            return function
        if issubclass(type(value), MethodType | staticmethod | classmethod):
            value = value.__func__
        elif issubclass(type(value), property):
            value = value.fget
        elif issubclass(type(value), functools.partial):
            value = value.func
        else:
            value = getattr(value, "__wrapped__", None)
    return None


class Reach:
    """One reader: code that runs after tests, and all that it may look at."""

    # Installed ones, by their top names, that are followed as if they were the suite's: plugins that are readers. For all
    # alike, since the native side describes a class once.
    packages: set[str] = set()  # noqa: RUF012

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._code: set[CodeType] = set()
        self._functions: dict[int, FunctionType] = {}
        self._globals: dict[int, dict[str, Any]] = {}
        self._classes: dict[int, type] = {}
        self._values: dict[int, Any] = {}
        self._extra: list[tuple[dict[Any, Any], tuple[Any, ...]]] = []

    # --- what is read ---------------------------------------------------------------------------------------------

    def function(self, function: Any) -> None:
        """A function, a method with its object, or a partial with what it holds."""
        if isinstance(function, functools.partial):
            for value in (*function.args, *function.keywords.values()):
                self.value(value)
            self.function(function.func)
            return
        if isinstance(function, MethodType):
            self.value(function.__self__)
        plain = plain_function(function)
        if plain is None and callable(function) and not isinstance(function, type):
            self.value(getattr(function, "__self__", function))  # obj.append; an object with __call__
        while plain is not None and id(plain) not in self._functions:
            self._functions[id(plain)] = plain
            is_followed = self._follows(plain.__module__ or "", plain.__globals__.get("__file__"))
            if is_followed and self.code(plain.__code__):
                self._globals[id(plain.__globals__)] = plain.__globals__
            for value in (*(plain.__closure__ or ()), *(plain.__defaults__ or ())):
                if is_followed:
                    self.value(value)
                elif issubclass(type(value), CellType):
                    self._code_in(value)  # a library's decorator
            plain = plain_function(getattr(plain, "__wrapped__", None))

    def code(self, code: CodeType) -> bool:
        """False: it is known."""
        if code in self._code or len(self._code) >= MOST_CODE:
            return False
        self._code.add(code)
        self.names.update(code.co_names, code.co_freevars)
        for constant in code.co_consts:
            if isinstance(constant, str) and constant.isidentifier():
                self.names.add(constant)  # for getattr
            elif isinstance(constant, CodeType):
                self.code(constant)
        return True

    def generator(self, generator: GeneratorType[Any, Any, Any]) -> None:
        """What it will do from where it stands."""
        frame: FrameType | None = generator.gi_frame
        if frame is None:
            return
        code = frame.f_code
        if not self._follows(frame.f_globals.get("__name__", ""), frame.f_globals.get("__file__")):
            # pytest's own for xunit-style and unittest's methods of the suite, which it has at hand.
            for value in list(frame.f_locals.values()):
                if issubclass(type(value), FunctionType | MethodType):
                    self.function(value)
            return
        self._globals[id(frame.f_globals)] = frame.f_globals
        reads: set[str] = set()
        rest = [i for i in dis.get_instructions(code) if i.offset > frame.f_lasti]
        jumps = (*dis.hasjrel, *dis.hasjabs)
        if any(i.opcode in jumps and isinstance(i.argval, int) and i.argval < frame.f_lasti for i in rest):
            rest = list(dis.get_instructions(code))  # a loop around it
        for instruction in rest:
            argument = instruction.argval
            if isinstance(argument, str):
                reads.add(argument)
            elif isinstance(argument, tuple):
                reads.update(part for part in argument if isinstance(part, str))
            elif isinstance(argument, CodeType):
                self.code(argument)
                reads.update(argument.co_freevars)
        self.names |= reads
        local = dict(frame.f_locals)
        for name, value in local.items():
            if name in reads:
                self.value(value)
        known = set(map(id, local.values()))
        for referent in gc.get_referents(generator if sys.version_info >= (3, 11) else frame):
            if isinstance(referent, CellType):
                with_name = [n for n in code.co_cellvars + code.co_freevars if n in reads]
                if with_name:
                    self.value(referent)
            elif isinstance(referent, MethodType | type(gc.collect)) and id(referent) not in known:
                self._exit(referent)  # of a `with` that it is in

    def _exit(self, method: Any) -> None:
        context = getattr(method, "__self__", None)
        inner = getattr(context, "gen", None)
        if isinstance(inner, GeneratorType):
            self.generator(inner)
        elif isinstance(method, MethodType):
            self.function(method)

    def value(self, value: Any) -> None:
        """An object that is at hand."""
        if issubclass(type(value), FunctionType | functools.partial):
            self.function(value)
        elif issubclass(type(value), type):
            self._class(value)
        elif issubclass(type(value), ModuleType):
            self._module(value)
        elif issubclass(type(value), GeneratorType):
            self.generator(value)
        else:
            if issubclass(type(value), CellType):
                self._code_in(value)
            self._values[id(value)] = value

    def extra(self, holder: dict[Any, Any], keys: Iterable[Any]) -> None:
        """Entries of a dict that is not a module's."""
        self._extra.append((holder, tuple(keys)))

    def objects(self) -> list[Any]:
        """What the names stand for."""
        return [scope[name] for scope, found in self._resolve().values() for name in found]

    def _code_in(self, cell: CellType) -> None:
        with suppress(ValueError):  # it is empty
            content = cell.cell_contents
            if issubclass(type(content), FunctionType | functools.partial | MethodType):
                self.function(content)
            elif issubclass(type(content), type):
                self._class(content)

    def _follows(self, module: str, file: str | None = None) -> bool:
        return module.partition(".")[0] in self.packages or is_suites(module, file)

    def _module(self, module: ModuleType) -> None:
        namespace = namespace_of(module)
        if namespace is not None and self._follows(str(namespace.get("__name__", "")), file_of(module)):
            self._globals[id(namespace)] = namespace

    def _class(self, cls: type) -> None:
        if self._follows(cls.__module__):
            self._classes[id(cls)] = cls

    # --- what that comes to ---------------------------------------------------------------------------------------

    def describe(self, cls: type) -> tuple[int, dict[str, Any] | None, tuple[Any, ...]]:
        """For native.watch_fingerprint: how an object of that class is looked at."""
        if cls is CellType:
            return INSTANCE, None, (CellType.__dict__["cell_contents"],)
        kind = OPAQUE
        if issubclass(cls, set | frozenset):
            kind = UNORDERED
        elif issubclass(cls, deque):
            kind = ITERABLE
        elif cls is itertools.count:
            kind = SHOWN
        elif issubclass(cls, io.StringIO | io.BytesIO):
            kind = VALUE
        elif cls.__module__ == "array":
            kind = BYTES
        if issubclass(cls, HOLDERS) or cls.__module__ == "queue":
            kind |= INSTANCE
        if not self._follows(cls.__module__):
            return kind, None, ()
        self._class(cls)
        return kind | INSTANCE, _class_dict(cls), _slots(cls)

    def _read_class(self, cls: type) -> None:
        """Its methods that are named, and those that Python calls by itself; of what is there already none makes it."""
        for name, member in list(vars(cls).items()):
            is_implied = name.startswith("__") and name.endswith("__")
            if name in MAKING:
                is_implied = cls.__name__ in self.names
            if name in self.names or is_implied:
                function = plain_function(member)
                if function is not None:
                    self.function(function)
        for base in cls.__mro__[1:]:
            self._class(base)

    def _resolve(self) -> dict[int, tuple[dict[str, Any], set[str]]]:
        """Module by module the names that stand for values; code that others stand for becomes part of what is read."""
        keys: dict[int, tuple[dict[str, Any], set[str]]] = {}
        for cls in list(self._classes.values()):
            self._read_class(cls)
        for scope in list(self._globals.values()):
            found = keys.setdefault(id(scope), (scope, set()))[1]
            for name in self.names & scope.keys():
                value = scope[name]
                if issubclass(type(value), FunctionType):
                    self.function(value)
                elif issubclass(type(value), type):
                    self._class(value)
                elif issubclass(type(value), ModuleType):
                    self._module(value)
                elif not name.startswith("__"):
                    found.add(name)
        return keys

    def size(self) -> tuple[int, ...]:
        """Grows with what is known."""
        return len(self._code), len(self.names), len(self._globals), len(self._classes), len(self._values)

    def roots(self) -> list[Root]:
        """All that is to be looked at, with what is known by now."""
        size: tuple[int, ...] = ()
        keys: dict[int, tuple[dict[str, Any], set[str]]] = {}
        while size != self.size():
            size = self.size()
            keys = self._resolve()
        names = None if self.names & READS_ALL else frozenset(self.names)
        roots: list[Root] = [(scope, tuple(sorted(found)), names) for scope, found in keys.values() if found]
        roots += [(holder, chosen, names) for holder, chosen in self._extra if chosen]
        roots += [(value, None, names) for value in self._values.values()]
        for cls in self._classes.values():
            inner = _class_dict(cls)
            if inner is not None:
                members = [n for n in inner if (names is None or n in names) and not n.startswith("__")]
                plain = tuple(n for n in members if plain_function(inner[n]) is None)
                roots.append((inner, plain, names))
        return roots
