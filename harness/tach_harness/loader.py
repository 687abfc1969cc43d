"""Modules out of the bytecode image: rewritten ones, and what is told of all of them when collection is done.

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
from types import ModuleType
from typing import Any, NamedTuple

from . import bytecode, image
from .link import native, send, text

HEADER = b"tach imports 1\n"


class Source(NamedTuple):
    """A source that a module was loaded from."""

    rewritten: bool  # by pytest
    path: str
    name: str

    def record(self) -> bytes:
        """As tach-compiler's --imports has it."""
        return b"\0".join((b"r" if self.rewritten else b"p", os.fsencode(self.path), text(self.name), b""))


class Loader:
    """The image of this process, if there is one; it survives every fork."""

    def __init__(self, directory: str, problem: str) -> None:
        """Take the directory in which it was looked for ("": nowhere) and why it is not used, in one line."""
        self._directory = directory
        self._with_hook: bool | None = None  # of the image's rewritten code; None: of another pytest, or there is none
        self.problem = problem

    def serve_rewritten(self) -> None:
        """Have pytest's import hook look into the image first; before any conftest file or plugin is loaded."""
        from _pytest.assertion import rewrite

        key = native.bytecode_rewriter_key()
        self._with_hook = next((hook for hook in (False, True) if key and bytecode.rewriter_key(hook) == key), None)
        if self._with_hook is None:
            return
        read = rewrite._read_pyc
        rewriter = rewrite.AssertionRewriter

        def current() -> tuple[Any, ...]:
            return rewrite._rewrite_test, rewrite.rewrite_asserts, rewrite.AssertionRewriter, dict(vars(rewriter))

        own = current()

        def read_pyc(source: Path, *args: Any, **keywords: Any) -> Any:
            code = None
            # A plugin that has changed the rewriter wants its own code.
            if _has_pass_hook(rewrite.AssertionRewritingHook) == self._with_hook and current() == own:
                code = native.bytecode_rewritten(str(source))
            return code if code is not None else read(source, *args, **keywords)

        rewrite._read_pyc = read_pyc

    def tell(self, cache: Path) -> None:
        """At the end of collection; has an image made for the next run, if this one had to do without some modules.

        `cache` is the project's own; a nearer one counts where the next run will look, which does not know the root.
        """
        hits, stale, unsigned, damaged = native.bytecode_counts()
        files = (b"", b"")
        with suppress(OSError):
            project = str(cache.parent.parent)
            is_nearer = self._directory == project or self._directory.startswith(project.rstrip("/") + "/")
            directory = self._directory if is_nearer else str(cache)
            if damaged:
                self.problem = f"the bytecode image is not used: {image.path_in(directory)}: damaged"
                os.unlink(image.path_in(directory))  # its index is sound, so that nobody else would make it anew
            sources = list(_loaded())
            known = all(self._has(source) for source in sources)
            if stale or unsigned or damaged or not known:
                files = self._remember(directory, sources)
        send(native.KIND_LOADED, a=hits, b=stale, strings=(text(self.problem), *files))

    def _has(self, source: Source) -> bool:
        if source.rewritten:
            from _pytest.assertion.rewrite import AssertionRewritingHook

            if _has_pass_hook(AssertionRewritingHook) != self._with_hook:
                return False
        return native.bytecode_has(source.rewritten, source.path)

    def _remember(self, directory: str, sources: list[Source]) -> tuple[bytes, bytes]:
        """Write down what was imported; that file and the image's."""
        os.makedirs(directory, exist_ok=True)
        imports = image.path_without_suffix(directory) + ".imports"
        files = os.fsencode(imports), os.fsencode(image.path_in(directory))
        content = HEADER + b"".join(source.record() for source in sources)
        with suppress(FileNotFoundError), open(imports, "rb") as file:
            if file.read() == content:
                return files
        fresh = f"{imports}.{os.getpid()}.tmp"
        with open(fresh, "wb") as file:
            file.write(content)
        os.replace(fresh, imports)
        return files


def _has_pass_hook(kind: type) -> bool | None:
    """What the hook that is asking is configured to do: the first one, should a test run pytest within pytest."""
    hook: Any = next((finder for finder in sys.meta_path if isinstance(finder, kind)), None)
    return None if hook is None else bool(hook.config.getini("enable_assertion_pass_hook"))


def _loaded() -> Iterator[Source]:
    """What the modules that have been loaded came from.

    Looked at without running anything: `sys.modules` may hold whatever a suite has put there, modules that are loaded
    when they are touched among it.
    """
    found = []
    for name, module in list(sys.modules.items()):
        if type(name) is not str or not issubclass(type(module), ModuleType):
            continue
        spec = object.__getattribute__(module, "__dict__").get("__spec__")
        if type(spec).__name__ != "ModuleSpec":
            continue
        fields = object.__getattribute__(spec, "__dict__")
        loader, path = type(fields.get("loader")), fields.get("origin")
        if type(path) is not str or not path.endswith(".py") or not path.startswith("/") or "\0" in path:
            continue
        rewritten = loader.__module__ == "_pytest.assertion.rewrite"
        if rewritten or loader.__name__ == "SourceFileLoader":
            found.append(Source(rewritten, path, name))
    yield from sorted(found)
