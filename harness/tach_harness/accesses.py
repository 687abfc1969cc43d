"""What functions of a suite read and write beyond their locals, told from their sources and from those that they call.

A place is a name in a namespace: a global of a module, an attribute of a plugin's object or of a class. What an object
holds counts as the place that holds the object.
"""

from __future__ import annotations

import ast
import builtins
import collections
import contextvars
import functools
import inspect
import logging
import os
import queue
import site
import sys
import sysconfig
import textwrap
import types
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .reach import file_of

CONTAINERS = (
    dict,
    list,
    set,
    collections.deque,
    type(os.environ),
    queue.Queue,
    queue.SimpleQueue,
    contextvars.ContextVar,
)
READING_METHODS = frozenset(
    "copy count difference get index intersection isdisjoint issubset items keys values union".split()
)
# Functions of the process' own that act on the test when they are called before it.
PROCESS_STATE = frozenset(
    {
        ("os", "chdir"),
        ("os", "putenv"),
        ("os", "umask"),
        ("os", "unsetenv"),
        ("random", "seed"),
        ("signal", "alarm"),
        ("signal", "setitimer"),
        ("signal", "signal"),
        ("locale", "setlocale"),
        ("socket", "setdefaulttimeout"),
        ("sys", "setrecursionlimit"),
    }
)
OUTSIDE_BUILTINS = frozenset({"open", "print", "input", "exec", "eval", "compile", "__import__"})
OUTSIDE_METHODS = frozenset(
    "close connect emit flush mkdir post put rename request send sendall touch unlink urlopen write writelines "
    "write_bytes write_line write_text".split()
)
HARMLESS_MODULES = frozenset(
    "collections copy datetime enum functools inspect itertools json logging math operator os.path posixpath re string "
    "textwrap threading time traceback typing uuid pytest contextvars".split()
)

Place = tuple[int, str]  # id of the namespace, name


class Namespace(NamedTuple):
    """Where a place is: a module, a class, or the object of a plugin."""

    owner: Any
    name: str
    counts: bool = False  # it is only ever added to, by an augmented assignment


class Access:
    """What some functions do."""

    def __init__(self) -> None:
        self.reads: dict[Place, Namespace] = {}
        self.writes: dict[Place, Namespace] = {}
        self.assigned: set[Place] = set()  # otherwise than by being added to
        self.process_state = ""  # what of the process they change
        self.outside = ""  # through what they write to the outside

    def shared_with(self, writer: Access) -> dict[Place, Namespace]:
        """What these functions read of what the others write."""
        return {place: where for place, where in self.reads.items() if place in writer.writes}


def _project_file(module: Any) -> bool:
    file = file_of(module)
    return bool(file) and not str(file).startswith(_installed_prefixes())


@functools.cache
def _installed_prefixes() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return (paths["stdlib"], paths["purelib"], paths["platlib"], *site.getsitepackages(), os.path.dirname(__file__))


class _Reader(ast.NodeVisitor):
    """Reads one function, and what it calls in the project, into an Access."""

    def __init__(self, access: Access, seen: set[Any], package: str) -> None:
        self._access = access
        self._seen = seen
        self._package = package  # of the plugin: its own modules are read, too
        self._globals: dict[str, Any] = {}
        self._module: Any = None
        self._self: tuple[str, Any] = ("", None)
        self._locals: set[str] = set()
        self._cells: dict[str, Any] = {}

    def read(self, function: Any, owner: Any = None) -> None:
        """`owner`: the object whose method it is."""
        function = inspect.unwrap(function)
        if isinstance(function, types.MethodType):
            owner, function = function.__self__, function.__func__
        code = getattr(function, "__code__", None)
        if code is None or (code, id(owner)) in self._seen:
            return
        self._seen.add((code, id(owner)))
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        except (OSError, TypeError, SyntaxError):
            return
        reader = _Reader(self._access, self._seen, self._package)
        reader._globals = function.__globals__
        reader._module = sys.modules.get(function.__module__)
        if reader._module is None or vars(reader._module) is not function.__globals__:
            reader._module = _module_of_globals(function.__globals__)
        declared = {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
        reader._locals = set(code.co_varnames) | set(code.co_cellvars)
        for inner in _inner_codes(code):
            reader._locals |= set(inner.co_varnames)
        reader._locals -= declared
        reader._cells = _cells_of(function)
        if owner is not None and code.co_argcount:
            reader._self = (code.co_varnames[0], owner)
        body: list[ast.AST] = list(getattr(tree.body[0], "body", tree.body))
        for node in body:
            reader.visit(node)

    # --- what an expression stands for ------------------------------------------------------------------------------

    def _resolve(self, node: ast.AST) -> tuple[Any, Namespace | None]:
        """The object, if it can be told, and the place that holds it."""
        if isinstance(node, ast.Name):
            return self._resolve_name(node.id)
        if isinstance(node, ast.Attribute):
            return self._resolve_attribute(node)
        if isinstance(node, ast.Subscript):
            return None, self._resolve(node.value)[1]
        return None, None

    def _resolve_name(self, name: str) -> tuple[Any, Namespace | None]:
        if name == self._self[0]:
            return self._self[1], None
        if name in self._cells:
            return self._cells[name], None
        if name in self._locals:
            return None, None
        if name in self._globals or not hasattr(builtins, name):
            return self._globals.get(name), Namespace(self._module, name)
        return getattr(builtins, name), None

    def _resolve_attribute(self, node: ast.Attribute) -> tuple[Any, Namespace | None]:
        base, place = self._resolve(node.value)
        if base is None:
            return None, place
        value = attribute_of(base, node.attr)
        if isinstance(base, types.ModuleType | type) or base is self._self[1]:
            if isinstance(value, types.FunctionType) and base is self._self[1]:
                return types.MethodType(value, base), None
            return value, Namespace(base, node.attr)
        if isinstance(value, types.FunctionType) and _project_file(sys.modules.get(type(base).__module__)):
            return types.MethodType(value, base), place
        return value, place

    # --- what is read and written -----------------------------------------------------------------------------------

    def _note(self, place: Namespace | None, write: bool, counts: bool = False) -> None:
        if place is None or place.owner is None:
            return
        key = (id(place.owner), place.name)
        if write and not counts:
            self._access.assigned.add(key)
        (self._access.writes if write else self._access.reads)[key] = place

    def _write(self, target: ast.AST) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            for element in target.elts:
                self._write(element)
        elif isinstance(target, ast.Starred):
            self._write(target.value)
        elif isinstance(target, ast.Attribute | ast.Subscript | ast.Name):
            self._note(self._resolve(target)[1], write=True)

    def visit_Name(self, node: ast.Name) -> None:
        self._note(self._resolve_name(node.id)[1], write=not isinstance(node.ctx, ast.Load))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._note(self._resolve(node)[1], write=not isinstance(node.ctx, ast.Load))
        self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._note(self._resolve(node.value)[1], write=True)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        place = self._resolve(node.target)[1]
        plain = isinstance(node.target, ast.Name) or (
            isinstance(node.target, ast.Attribute) and place is not None and place.name == node.target.attr
        )
        self._note(place, write=False)
        self._note(place, write=True, counts=plain and isinstance(node.op, ast.Add))
        self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        called, place = self._resolve(node.func)
        if isinstance(called, types.FunctionType | types.MethodType) and self._is_ours(called):
            self.read(called)
        elif isinstance(node.func, ast.Attribute):
            self._call_method(node.func, called)
        elif isinstance(node.func, ast.Name):
            self._call_name(node, called)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            self.visit(argument)
        if isinstance(node.func, ast.Attribute):
            self.visit(node.func.value)

    def _call_name(self, node: ast.Call, called: Any) -> None:
        name = getattr(node.func, "id", "")
        if called is getattr(builtins, name, None) and called is not None:
            if name in ("setattr", "delattr") and node.args:
                self._write_attribute_of(node)
            elif name in OUTSIDE_BUILTINS:
                self._access.outside = self._access.outside or f"{name}()"
        elif called is not None and not isinstance(called, type):
            self._call_foreign(called, name)

    def _write_attribute_of(self, node: ast.Call) -> None:
        base, place = self._resolve(node.args[0])
        name = node.args[1].value if len(node.args) > 1 and isinstance(node.args[1], ast.Constant) else "*"
        if isinstance(base, types.ModuleType | type) or (base is not None and base is self._self[1]):
            place = Namespace(base, str(name))
        self._note(place, write=True)

    def _call_method(self, function: ast.Attribute, called: Any) -> None:
        base, place = self._resolve(function.value)
        if isinstance(base, types.ModuleType):
            self._call_foreign(called, function.attr, base)
        elif isinstance(base, CONTAINERS):
            self._note(place, write=function.attr not in READING_METHODS)
            self._note(place, write=False)
        elif isinstance(base, logging.Logger | logging.LoggerAdapter):
            return
        elif base is not None and not isinstance(base, type) and _project_file(sys.modules.get(type(base).__module__)):
            self._note(place, write=True)
        elif function.attr in OUTSIDE_METHODS:
            self._access.outside = self._access.outside or f"{function.attr}()"

    def _call_foreign(self, called: Any, name: str, module: Any = None) -> None:
        home = str(getattr(module, "__name__", None) or getattr(called, "__module__", "") or "")
        if (home, name) in PROCESS_STATE:
            self._access.process_state = self._access.process_state or f"{home}.{name}()"
        elif home == "os" and name in ("getenv", "environ"):
            self._note(Namespace(os, "environ"), write=False)
        elif home.partition(".")[0] not in HARMLESS_MODULES and home not in HARMLESS_MODULES and home != "builtins":
            self._access.outside = self._access.outside or f"{home}.{name}()"

    def _is_ours(self, function: Any) -> bool:
        module = sys.modules.get(function.__module__)
        return _project_file(module) or str(function.__module__).partition(".")[0] == self._package


def attribute_of(base: Any, name: str) -> Any:
    """Without running code of the suite (properties, __getattr__)."""
    try:
        found = inspect.getattr_static(base, name)
    except AttributeError:
        return None
    return found.__func__ if isinstance(found, staticmethod | classmethod) else found


def _cells_of(function: Any) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try:
            cells[name] = cell.cell_contents
        except ValueError:
            continue
    return cells


def _inner_codes(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield constant
            yield from _inner_codes(constant)


def _module_of_globals(namespace: dict[str, Any]) -> Any:
    """A conftest module that another one of its name has replaced in sys.modules."""
    return _known_modules.get(id(namespace))


# By their namespace: those that plugins are.
_known_modules: dict[int, Any] = {}


def know_modules(modules: Iterable[Any]) -> None:
    """Call before `read`: sys.modules may have another one under the name of a conftest module."""
    _known_modules.update({id(vars(module)): module for module in modules})


def read(functions: Iterable[tuple[Any, Any, str]]) -> Access:
    """`functions`: each with the object that it is a method of, if any, and the package whose functions are followed."""
    access, seen = Access(), set[Any]()
    for function, owner, package in functions:
        _Reader(access, seen, package).read(function, owner)
    return access
