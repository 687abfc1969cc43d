"""Imports modules in a fresh interpreter and prints how many seconds that took: started by loader.py.

    import_time.py MODE NAMES [ARGUMENT...]

NAMES is a JSON list. Modes: `importlib`: as the interpreter does, with what it has compiled before; `tach NATIVE KEYS
IMAGE VERSION`: from a bytecode image; `floor IMPORTS`: what no loader can save, to unmarshal each module's code and to run
its body, without the time between; `list IMPORTS`: no time, writes down what was imported as tach-compiler wants it;
`choose COUNT`: no import either, prints the names of the largest modules of the standard library that can be imported.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import json
import marshal
import os
import sys
import sysconfig
import time
from typing import Any

# Not for import: they print, draw, open a browser, or are the library's own tests.
LEFT_OUT = {"this", "antigravity", "turtle", "turtledemo", "__phello__", "idlelib", "lib2to3", "test", "ensurepip"}


def import_all(names: list[str]) -> float:
    started = time.perf_counter()
    for name in names:
        importlib.import_module(name)
    return time.perf_counter() - started


def install_tach(native: str, keys: str, image: str, version: str) -> Any:
    """What harness/tach_harness/image.py does."""
    loader = importlib.machinery.ExtensionFileLoader("_tach", native)
    spec = importlib.util.spec_from_file_location("_tach", native, loader=loader)
    assert spec is not None
    module: Any = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.path.insert(0, os.path.dirname(keys))
    key = importlib.import_module("bytecode").interpreter_key(version)
    del sys.path[0]
    why = module.bytecode_open(image, key, False)
    if why:
        sys.exit(f"{image}: {why}")
    module.bytecode_install()
    return module


def imported() -> list[tuple[str, str]]:
    """Path and name of each module that came from a source."""
    found = []
    for module in list(sys.modules.values()):
        spec: Any = getattr(module, "__spec__", None)
        if type(getattr(spec, "loader", None)).__name__ == "SourceFileLoader":
            found.append((spec.origin, spec.name))
    return found


class Floor:
    """Finder and loader of code that is in memory; only its clock's time counts.

    The clock stands still from the search for a module to the unmarshalling of its code. What importlib does between the
    end of a body and the next statement of the importing one is counted, which makes the floor a little too high.
    """

    def __init__(self, imports: str) -> None:
        with open(imports, "rb") as listing:
            fields = listing.read().split(b"\n", 1)[1].split(b"\0")[:-1]
        self.code = {}
        for path, name in zip(fields[1::3], fields[2::3]):
            with open(importlib.util.cache_from_source(path.decode()), "rb") as file:
                self.code[name.decode()] = (path.decode(), file.read()[16:])
        self.seconds = 0.0
        self._since = time.perf_counter()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        self.seconds += time.perf_counter() - self._since
        if name not in self.code:
            self._since = time.perf_counter()
            return None
        origin = self.code[name][0]
        is_package = origin.endswith("__init__.py")
        spec = importlib.machinery.ModuleSpec(name, self, origin=origin, is_package=is_package)  # type: ignore[arg-type]
        spec.has_location = True
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(os.path.dirname(origin))
        return spec

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: Any) -> None:
        self._since = time.perf_counter()
        exec(marshal.loads(self.code[module.__name__][1]), module.__dict__)


def choose(count: int) -> list[str]:
    library = sysconfig.get_path("stdlib")
    found = []
    for directory, inner, files in os.walk(library):
        inner[:] = [name for name in inner if name not in LEFT_OUT | {"site-packages", "tests", "__pycache__"}]
        for file in files:
            name = os.path.relpath(os.path.join(directory, file), library)[:-3].replace("/", ".")
            if file.endswith(".py") and not name.endswith("__main__") and name not in LEFT_OUT:
                found.append((os.path.getsize(os.path.join(directory, file)), name.removesuffix(".__init__")))
    names: list[str] = []
    for _, name in sorted(found, reverse=True):
        try:
            importlib.import_module(name)
        except BaseException:
            continue
        names.append(name)
        if len(names) == count:
            break
    return names


def main() -> None:
    out = os.dup(1)
    os.dup2(2, 1)  # what modules print when they are imported
    mode, where, *rest = sys.argv[1:]
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
    answer: Any = None
    if mode == "choose":
        answer = choose(int(rest[0]))
    else:
        with open(where) as file:
            names = json.load(file)
        if mode == "floor":
            floor = Floor(rest[0])
            sys.meta_path.insert(0, floor)
            import_all(names)
            answer = floor.seconds
        elif mode == "tach":
            native = install_tach(*rest)
            answer = import_all(names)
            assert native.bytecode_counts()[0] > len(names) // 2, "hardly anything came from the image"
        else:
            answer = import_all(names)
        if mode == "list":
            with open(rest[0], "wb") as listing:
                listing.write(b"tach imports 1\n")
                listing.writelines(f"p\0{path}\0{name}\0".encode() for path, name in imported())
    os.write(out, json.dumps(answer).encode())
    os._exit(0)  # what the modules left (threads, exit handlers) is of no interest


main()
