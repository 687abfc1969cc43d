"""The native module and the bytecode image: what comes before all imports that the image can serve.

So this module imports nothing that the interpreter's start has not loaded already: of importlib, what `importlib.util`
and `importlib.machinery` would take from there. The other modules get `native` from `link`.
"""

import _frozen_importlib as bootstrap
import _frozen_importlib_external as external
import os
import sys

from . import bytecode

TYPE_CHECKING = False  # type checkers know it by its name; to import it would load `typing`
if TYPE_CHECKING:
    import _tach as native


def load_native(path: str) -> None:
    """Load `_tach` from that file; it does not become visible in `sys.modules`."""
    global native
    spec = external.spec_from_file_location("_tach", path, loader=external.ExtensionFileLoader("_tach", path))
    assert spec is not None and spec.loader is not None
    native = bootstrap.module_from_spec(spec)
    spec.loader.exec_module(native)


def path_without_suffix(directory: str) -> str:
    """Where the files of this interpreter are, in the directory of all images: what was imported, and the image."""
    level = f".opt-{sys.flags.optimize}" if sys.flags.optimize else ""
    return os.path.join(directory, f"{sys.implementation.cache_tag}{level}")


def path_in(directory: str) -> str:
    """The image's own."""
    return path_without_suffix(directory) + ".bytecode"


def open_image(directory: str, paranoid: bool) -> str:
    """Open the image in `directory` ("": none is wanted) and have importlib's functions look there.

    An image that cannot be used costs nothing but time. Returns why, in one line, if that is worth telling.
    """
    # Paths are taken as bytes of that encoding.
    if not directory or sys.flags.verbose or sys.getfilesystemencoding() != "utf-8":
        return ""
    why = native.bytecode_open(path_in(directory), bytecode.interpreter_key(native.VERSION), paranoid)
    if not why:
        native.bytecode_install()
    return f"the bytecode image is not used: {why}" if why and not why.startswith(" ") else ""
