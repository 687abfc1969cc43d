"""Entry point of the harness inside the user's interpreter: `python boot.py OPTIONS-JSON pytest-args...`.

Started by tach-zygote. It makes the interpreter look as it does under the `pytest` console script (same `sys.argv`,
same `sys.path[0]`), loads the package `tach_harness` that lies beside this file without putting it on `sys.path`, and
runs pytest with tach's plugin. Problems that are the user's end with one line on stderr and pytest's exit codes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import sysconfig

USAGE_ERROR = 4  # pytest.ExitCode.USAGE_ERROR
OLDEST_PYTHON = (3, 10)


def load_harness(directory: str) -> None:
    """Import `tach_harness` from `directory`; its folder must not become visible to the suite's own imports."""
    package = os.path.join(directory, "tach_harness")
    spec = importlib.util.spec_from_file_location(
        "tach_harness", os.path.join(package, "__init__.py"), submodule_search_locations=[package]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tach_harness"] = module
    spec.loader.exec_module(module)


def refuse(text: str) -> int:
    """Report a user's mistake in one line."""
    sys.stderr.write(f"tach: {text}\n")
    return USAGE_ERROR


def main() -> int:
    """Run the session and return the exit code of this process."""
    options = json.loads(sys.argv[1])
    if sys.version_info < OLDEST_PYTHON:
        version = "{}.{}".format(*sys.version_info)
        return refuse(f"{sys.executable}: Python {version} is too old; tach needs 3.10 or newer (--python EXE)")
    if "t" in sys.abiflags:
        return refuse(
            f"{sys.executable}: free-threaded builds are not supported; choose one with the GIL (--python EXE)"
        )
    scripts = sysconfig.get_path("scripts")
    directory = os.path.dirname(os.path.abspath(__file__))
    # -P and PYTHONSAFEPATH, since 3.11: no script's directory there
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = scripts
    sys.argv = [os.path.join(scripts, "pytest"), *sys.argv[2:]]
    load_harness(directory)
    if options["list_only"]:
        from tach_harness import witness

        witness.start()
    from tach_harness.loader import Loader

    loader = Loader(options["version"], options["bytecode"], options["paranoid"])
    try:
        import pytest
    except ModuleNotFoundError as error:
        if error.name != "pytest":
            raise
        return refuse(f"{sys.executable}: pytest is not installed; install it there or choose another (--python EXE)")
    if int(pytest.__version__.split(".")[0]) < 7:
        return refuse(f"{sys.executable}: pytest {pytest.__version__} is too old; tach needs pytest 7 or newer")
    from tach_harness import session

    return session.run(options, loader)


if __name__ == "__main__":
    sys.exit(main())
