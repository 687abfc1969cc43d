"""Modules out of a bytecode image: opened before pytest is imported, measured when collection is done.

The hook itself is in `_tach` (zygote/import_functions.h); what it answers and what it leaves to importlib is described
in docs/loader.md. Modules that pytest rewrites stay pytest's: its import hook finds and executes them, and only the
place where it looks for code that it has rewritten before is another one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import bytecode
from .link import native, send, text

HEADER = b"tach imports 1\n"


class Loader:
    """The image of this process, if there is one. Made before pytest is imported, and survives every fork."""

    def __init__(self, version: str, directory: str, paranoid: bool) -> None:
        """Open the image in `directory` ("": there is none) and take importlib's finder over.

        An image that cannot be used costs nothing but time; why is kept in `problem`, in one line.
        """
        self._name = f"{sys.implementation.cache_tag}{f'.opt-{sys.flags.optimize}' if sys.flags.optimize else ''}"
        self._path = ""
        self.problem = ""
        if directory and not sys.flags.verbose:
            self._path = os.path.join(directory, self._name + ".bytecode")
            why = native.bytecode_open(self._path, bytecode.interpreter_key(version), paranoid)
            if not why:
                native.bytecode_install()
            elif not why.startswith(" "):
                self.problem = f"the bytecode image is not used: {why}"

    def serve_rewritten(self) -> None:
        """Have pytest's import hook look into the image first; before any conftest file is loaded."""
        from _pytest.assertion import rewrite

        key = native.bytecode_rewriter_key()
        with_hook = next((hook for hook in (False, True) if bytecode.rewriter_key(hook) == key), None)
        if with_hook is None:
            return
        read = rewrite._read_pyc

        def read_pyc(source: Path, *args: Any, **keywords: Any) -> Any:
            code = None
            if _has_pass_hook(rewrite.AssertionRewritingHook) == with_hook:
                code = native.bytecode_rewritten(str(source))
            return code if code is not None else read(source, *args, **keywords)

        rewrite._read_pyc = read_pyc

    def tell(self, rootdir: Path) -> None:
        """At the end of collection; has an image made for the next run, if this one had to do without some modules."""
        hits, stale, damaged = native.bytecode_counts()
        if damaged:
            self.problem = f"the bytecode image is not used: {self._path}: damaged"
            with suppress(OSError):
                os.unlink(self._path)  # its index is sound, so that nobody else would make it anew
        records = list(_imported())
        files = ("", "")
        if stale or damaged or not all(native.bytecode_has(kind == "r", path) for kind, path, _ in records):
            files = self._remember(rootdir, records)
        send(native.KIND_LOADED, a=hits, b=stale, strings=tuple(text(part) for part in (self.problem, *files)))

    def _remember(self, rootdir: Path, records: list[tuple[str, str, str]]) -> tuple[str, str]:
        """Write down what was imported; that file and the image's, or "" twice where nothing can be written."""
        directory = rootdir / ".tach" / "cache"
        content = HEADER + b"".join(text(f"{kind}\0{path}\0{name}\0") for kind, path, name in records)
        with suppress(OSError):
            directory.mkdir(parents=True, exist_ok=True)
            imports = directory / (self._name + ".imports")
            if not imports.is_file() or imports.read_bytes() != content:
                fresh = directory / f"{self._name}.imports.{os.getpid()}.tmp"
                fresh.write_bytes(content)
                fresh.replace(imports)
            return str(imports), str(directory / (self._name + ".bytecode"))
        return "", ""


def _has_pass_hook(kind: type) -> bool | None:
    """What the hook that is asking is configured to do: the first one, should a test run pytest within pytest."""
    hook: Any = next((finder for finder in sys.meta_path if isinstance(finder, kind)), None)
    return None if hook is None else bool(hook.config.getini("enable_assertion_pass_hook"))


def _imported() -> Iterator[tuple[str, str, str]]:
    """Kind, path and name of each module that has been loaded from a source; "r": rewritten by pytest."""
    for name, module in sorted(sys.modules.items()):
        try:
            specification: Any = module.__spec__
            loader = type(specification.loader)
            path = specification.origin
        except AttributeError:
            continue
        if not isinstance(path, str) or not path.endswith(".py") or not path.startswith("/"):
            continue
        if loader.__module__ == "_pytest.assertion.rewrite":
            yield "r", path, name
        elif loader.__name__ == "SourceFileLoader":
            yield "p", path, name
