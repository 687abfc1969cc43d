"""Entry point of the harness inside the user's interpreter: `python boot.py NATIVE IMAGES PARANOID OPTIONS pytest-args...`.

Started by tach-zygote. It makes the interpreter look as it does under the `pytest` console script (same `sys.argv`,
same `sys.path[0]`), loads the package `tach_harness` that lies beside this file without leaving it on `sys.path`, and
runs pytest with tach's plugin. Problems that are the user's end with one line on stderr and pytest's exit codes.

NATIVE is the file of `_tach`, IMAGES the directory in which a bytecode image may be ("": none is wanted), PARANOID is 1
or 0 (loader.paranoid), and OPTIONS are those of tach_harness/options.py. The first three are words of their own since
what is imported after the image is open, the reader of OPTIONS among it, comes from there. So nothing is imported here
that the interpreter's start has not loaded already.
"""

import os
import sys

USAGE_ERROR = 4  # pytest.ExitCode.USAGE_ERROR
OLDEST_PYTHON = (3, 10)


def refuse(text: str) -> int:
    """Report a user's mistake in one line."""
    sys.stderr.write(f"tach: {text}\n")
    return USAGE_ERROR


def is_path_safe() -> bool:
    """Whether no script's directory is on sys.path: -P and PYTHONSAFEPATH, since 3.11."""
    return bool(getattr(sys.flags, "safe_path", False))


def open_image(native_file: str, images: str, paranoid: bool) -> str:
    """Why there is none, in one line, if that is worth telling."""
    if is_path_safe():
        sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from tach_harness import image  # beside this file, which is what sys.path begins with

    if is_path_safe():
        del sys.path[0]
    image.load_native(native_file)
    return image.open_image(images, paranoid)


def scripts_directory() -> str:
    """Where the command `pytest` is, or would be."""
    import sysconfig

    # To expand all of a scheme, sysconfig loads all variables of the interpreter's build.
    scripts = sysconfig.get_path("scripts", expand=False).replace("{base}", os.path.normpath(sys.prefix))
    return sysconfig.get_path("scripts") if "{" in scripts else os.path.normpath(scripts)


def main() -> int:
    """Run the session and return the exit code of this process."""
    if sys.version_info < OLDEST_PYTHON:
        version = "{}.{}".format(*sys.version_info)
        return refuse(f"{sys.executable}: Python {version} is too old; tach needs 3.10 or newer (--python EXE)")
    if "t" in sys.abiflags:
        return refuse(
            f"{sys.executable}: free-threaded builds are not supported; choose one with the GIL (--python EXE)"
        )
    native_file, images, paranoid, raw_options, *pytest_args = sys.argv[1:]
    problem = open_image(native_file, images, paranoid == "1")
    from tach_harness import garbage

    garbage.put_off()
    scripts = scripts_directory()
    if not is_path_safe():
        sys.path[0] = scripts
    sys.argv = [os.path.join(scripts, "pytest"), *pytest_args]
    import json

    options = json.loads(raw_options)
    if options["list_only"]:
        from tach_harness import witness

        witness.start()
    try:
        import pytest
    except ModuleNotFoundError as error:
        if error.name != "pytest":
            raise
        return refuse(f"{sys.executable}: pytest is not installed; install it there or choose another (--python EXE)")
    if int(pytest.__version__.split(".")[0]) < 7:
        return refuse(f"{sys.executable}: pytest {pytest.__version__} is too old; tach needs pytest 7 or newer")
    from tach_harness import session
    from tach_harness.loader import Loader

    return session.run(options, Loader(images, problem))


if __name__ == "__main__":
    sys.exit(main())
