"""tach-compiler: its code is the interpreter's and pytest's, nothing is done twice, and nothing in a source stops it."""

from __future__ import annotations

import ast
import itertools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bytecode_image
import pytest
from _pytest.assertion.rewrite import rewrite_asserts
from bytecode_image import Image
from people import as_stranger, stranger_python
from runner import COMPILER, Project, Result, Run, clean_environment

LIB = """
'''A module.'''
from __future__ import annotations
import os

class A:
    x: int = 1
    def method(self, *, key=(1, 2.5, "a", b"b", None, ...)):
        return lambda: {key, self.x, os}

def generator(n):
    yield from (i for i in range(n) if i in {1, 2, 3})

async def coroutine():
    async with x() as y: await y
"""
TEST = """
import lib

def test_a():
    a = [1, 2]
    assert a == [1, 3], "why"
    assert all(x for x in a) and not lib.A().x
"""
WARNS = "assert (1, 'always true')\n"


class Compiled:
    """What a run of the compiler says and writes."""

    def __init__(self, result: Result, image: Path) -> None:
        self.result = result.expect(0)
        self.states = {Path(module["path"]).name: module["state"] for module in json.loads(self.result.out)["modules"]}
        self.image: Image = bytecode_image.read(image)


class Bench:
    """A project with an image, and interpreters that leave a line in a log when they start."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.image = project / "out/image"
        self.log = project / "site/starts"
        self.python = project.python
        project.write("site/sitecustomize.py", self.hook())
        project.write("lib.py", LIB)
        project.write("pkg/__init__.py", "from . import sub\n")
        project.write("pkg/sub.py", "x = 1\n")
        project.write("tests/conftest.py", "import pytest\n")
        project.write("tests/test_a.py", TEST)

    def hook(self, more: str = "") -> str:
        return f"""
import sys
if sys.argv[0].endswith("child.py"):
    with open({str(self.log)!r}, "a") as log: log.write("start\\n")
    print("a hook that prints")
{more}
"""

    @property
    def starts(self) -> int:
        """How many interpreters have been started since they were forgotten."""
        return self.log.read_text().count("\n") if self.log.exists() else 0

    def forget_starts(self) -> None:
        self.log.unlink(missing_ok=True)

    def start(self, *words: str, env: dict[str, str] | None = None, **how: Any) -> Run:
        environment = clean_environment(**{"PYTHONPATH": str(self.project / "site"), **(env or {})})
        command = [str(COMPILER), "--python", self.python, "-o", str(self.image), *words]
        return Run(command, self.project.path, environment, **how)

    def imports(self, modules: dict[str, str] | None = None, name: str = "imports") -> str:
        """A list of what is compiled: of all sources of the project, unless it is given."""
        if modules is None:
            sources = (path for path in sorted(self.project.path.rglob("*.py")) if path.parent.name != "site")
            modules = {str(path): "r" if path.parent.name == "tests" else "p" for path in sources}
        content = b"tach imports 1\n"
        for path, kind in modules.items():
            content += kind.encode() + b"\0" + os.fsencode(path) + b"\0" + os.fsencode(Path(path).stem) + b"\0"
        (self.project / name).write_bytes(content)
        return str(self.project / name)

    def compile(self, *words: str, env: dict[str, str] | None = None) -> Compiled:
        result = self.start("--imports", self.imports(), "--format", "json", *words, env=env).finish()
        return Compiled(result, self.image)


@pytest.fixture
def bench(project: Project) -> Bench:
    bench = Bench(project)
    settle()
    return bench


def settle() -> None:
    """What was written just now counts as perhaps being written still: more than kTicksNs of shm/bytecode_image.cpp."""
    time.sleep(0.12)


def flat(value: Any) -> Any:
    """A code object as something that can be compared: all that it consists of."""
    if not isinstance(value, types.CodeType):
        return (type(value), repr(sorted(map(repr, value))) if isinstance(value, frozenset) else repr(value))
    names = [name for name in dir(value) if name.startswith("co_") and name not in ("co_consts", "co_lnotab")]
    simple = {name: getattr(value, name) for name in names if not callable(getattr(value, name))}
    positions = list(value.co_positions()) if hasattr(value, "co_positions") else None
    return simple, list(value.co_lines()), positions, [flat(const) for const in value.co_consts]


def plain_code(path: Path) -> types.CodeType:
    return compile(path.read_bytes(), str(path), "exec", dont_inherit=True)


class Config:
    def __init__(self, hook: bool = False) -> None:
        self.hook = hook

    def getini(self, name: str) -> bool:
        assert name == "enable_assertion_pass_hook"
        return self.hook


def rewritten_code(path: Path, hook: bool = False) -> types.CodeType:
    source = path.read_bytes()
    tree = ast.parse(source, filename=str(path))
    rewrite_asserts(tree, source, str(path), Config(hook))  # type: ignore[arg-type]
    code = compile(tree, str(path), "exec", dont_inherit=True)
    assert isinstance(code, types.CodeType)
    return code


def state_of(path: Path) -> tuple[int, int, bytes]:
    status = path.stat()
    return status.st_mtime_ns, status.st_ino, path.read_bytes()


def expect_line(result: Result, code: int, *words: str) -> None:
    """One line, with these words in it, on stderr and nothing on stdout."""
    assert (result.code, result.out, len(result.err.splitlines())) == (code, "", 1), str(result)
    assert result.err.startswith("tach-compiler: "), str(result)
    for word in words:
        assert word in result.err, str(result)


# --- the code ---------------------------------------------------------------------------------------------------------


def test_code_is_what_the_interpreter_and_pytest_make(bench: Bench) -> None:
    image = bench.compile().image
    for name in ("lib.py", "pkg/__init__.py", "pkg/sub.py"):
        assert flat(image["plain", name].code_object) == flat(plain_code(bench.project / name))
    for name in ("tests/conftest.py", "tests/test_a.py"):
        assert flat(image["rewritten", name].code_object) == flat(rewritten_code(bench.project / name))
    assert image["plain", "pkg/__init__.py"].is_package
    assert not image["plain", "pkg/sub.py"].is_package


def test_sources_of_the_standard_library_are_compiled_as_they_are(bench: Bench) -> None:
    library = Path(ast.__file__).parent
    names = (
        "ast",
        "inspect",
        "typing",
        "asyncio/tasks",
        "dataclasses",
        "collections/__init__",
        "argparse",
        "re/_parser",
    )
    paths = [library / f"{name}.py" for name in names]
    paths = [path for path in paths if path.exists()]
    words = ["--imports", bench.imports({str(path): kind for path in paths for kind in "p"})]
    words += ["--imports", bench.imports({str(path): "r" for path in paths}, "imports2")]
    bench.start(*words).finish().expect(0)
    image = bytecode_image.read(bench.image)
    for path in paths:
        assert flat(image["plain", str(path)].code_object) == flat(plain_code(path))
        assert flat(image["rewritten", str(path)].code_object) == flat(rewritten_code(path))


def test_modules_of_an_analysis_are_compiled(bench: Bench) -> None:
    bench.project.analyze("-o", ".tach/analysis").expect(0)
    bench.start("--analysis", ".tach/analysis").finish().expect(0)
    image = bytecode_image.read(bench.image)
    assert ("rewritten", "tests/test_a.py") in image
    assert ("rewritten", "tests/conftest.py") in image
    assert image["plain", "pkg/sub.py"].name == "pkg.sub"
    assert ("plain", "tests/test_a.py") not in image


@pytest.mark.parametrize("value", ["true", "1", "false"])
def test_the_hook_for_assertions_that_pass_is_the_projects(bench: Bench, value: str) -> None:
    bench.project.write("pytest.ini", f"[pytest]\nenable_assertion_pass_hook = {value}\n")
    bench.project.analyze("-o", ".tach/analysis").expect(0)
    bench.start("--analysis", ".tach/analysis").finish().expect(0)
    image = bytecode_image.read(bench.image)
    expected = rewritten_code(bench.project / "tests/test_a.py", value != "false")
    assert flat(image["rewritten", "tests/test_a.py"].code_object) == flat(expected)
    assert f"pass hook {value != 'false'}" in image.rewriter_key


def test_a_changed_ini_file_makes_rewritten_code_anew_if_it_makes_a_difference(bench: Bench) -> None:
    def compile_it() -> None:
        bench.project.analyze("-o", ".tach/analysis").expect(0)
        bench.start("--analysis", ".tach/analysis").finish().expect(0)

    bench.project.write("pytest.ini", "[pytest]\n")
    settle()
    compile_it()
    before = bytecode_image.read(bench.image)
    bench.project.write("pytest.ini", "[pytest]\nmarkers = slow\n")
    compile_it()
    assert bytecode_image.read(bench.image).codes == before.codes
    bench.project.write("pytest.ini", "[pytest]\nenable_assertion_pass_hook = 1\n")
    compile_it()
    after = bytecode_image.read(bench.image)
    assert after["plain", "lib.py"].code == before["plain", "lib.py"].code
    expected = rewritten_code(bench.project / "tests/test_a.py", True)
    assert flat(after["rewritten", "tests/test_a.py"].code_object) == flat(expected)


def test_a_project_cannot_shadow_what_the_child_imports(bench: Bench) -> None:
    for name in ("ast", "struct", "marshal", "socket", "warnings"):
        bench.project.write(f"{name}.py", "raise SystemExit('shadowed')\n")
    assert bench.compile().states["lib.py"] == "compiled"


def test_encodings_are_those_of_the_source(bench: Bench) -> None:
    (bench.project / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nx = '\xe9'\n")
    (bench.project / "bom.py").write_bytes(b"\xef\xbb\xbfx = '\xc3\xa9'\r\n")
    image = bench.compile().image
    for name in ("latin.py", "bom.py"):
        assert flat(image["plain", name].code_object) == flat(plain_code(bench.project / name))


def test_names_that_are_no_text_are_names(bench: Bench) -> None:
    odd = os.fsdecode(os.fsencode(bench.project / "odd ") + b"\xff\n.py")
    Path(odd).write_text("x = 1\n")
    image = bench.compile().image
    assert flat(image["plain", odd].code_object) == flat(plain_code(Path(odd)))


# --- what is done again -----------------------------------------------------------------------------------------------


def test_nothing_is_done_twice(bench: Bench) -> None:
    assert set(bench.compile().states.values()) == {"compiled"}
    assert bench.starts > 0
    bench.forget_starts()
    before = state_of(bench.image)
    assert set(bench.compile("--depfile", "d").states.values()) == {"kept"}
    assert bench.starts == 0
    assert state_of(bench.image) == before
    assert (bench.project / "d").exists()


def test_only_what_was_edited_is_compiled(bench: Bench) -> None:
    bench.compile()
    bench.forget_starts()
    bench.project.write("pkg/sub.py", "x = 2\n")
    compiled = bench.compile()
    assert [name for name, state in compiled.states.items() if state != "kept"] == ["sub.py"]
    assert bench.starts == 1
    assert flat(compiled.image["plain", "sub.py"].code_object) == flat(plain_code(bench.project / "pkg/sub.py"))


def test_a_touched_source_is_read_and_no_interpreter_is_started(bench: Bench) -> None:
    bench.compile()
    bench.forget_starts()
    os.utime(bench.project / "lib.py")
    settle()
    assert bench.compile().states["lib.py"] == "same"
    assert bench.compile().states["lib.py"] == "kept"
    assert bench.starts == 0


def test_an_edit_of_the_same_size_and_time_is_seen(bench: Bench) -> None:
    source = bench.project / "pkg/sub.py"
    status = source.stat()
    bench.compile()
    source.write_text("x = 7\n")
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    compiled = bench.compile()
    assert compiled.states["sub.py"] == "compiled"
    assert flat(compiled.image["plain", "sub.py"].code_object) == flat(plain_code(source))


def test_edits_right_after_one_another_are_all_seen(bench: Bench) -> None:
    source = bench.project / "pkg/sub.py"
    for number in range(5):
        source.write_text(f"x = {number}\n")
        image = bench.compile().image
        assert flat(image["plain", "sub.py"].code_object) == flat(plain_code(source))


def test_a_revert_is_compiled_as_it_was(bench: Bench) -> None:
    first = bench.compile().image
    bench.project.write("lib.py", "x = 1\n")
    bench.compile()
    bench.project.write("lib.py", LIB)
    assert bench.compile().image.codes == first.codes


def test_renamed_and_deleted_and_new_sources(bench: Bench) -> None:
    bench.compile()
    (bench.project / "lib.py").rename(bench.project / "renamed.py")
    (bench.project / "pkg/sub.py").unlink()
    bench.project.write("new.py", "x = 1\n")
    compiled = bench.compile()
    assert compiled.states["renamed.py"] == compiled.states["new.py"] == "compiled"
    names = {Path(module.path).name for module in compiled.image.modules}
    assert names == {"__init__.py", "renamed.py", "new.py", "conftest.py", "test_a.py"}
    code = compiled.image["plain", "renamed.py"].code_object
    assert code is not None and code.co_filename == str(bench.project / "renamed.py")


def test_a_source_that_is_gone_is_left_out(bench: Bench) -> None:
    words = ["--imports", bench.imports({str(bench.project / "gone.py"): "p", str(bench.project / "lib.py"): "p"})]
    bench.start(*words).finish().expect(0)
    assert [Path(module.path).name for module in bytecode_image.read(bench.image).modules] == ["lib.py"]
    before = state_of(bench.image)
    bench.start(*words).finish().expect(0)
    assert state_of(bench.image) == before


def test_paranoia_reads_everything(bench: Bench) -> None:
    bench.compile()
    assert set(bench.compile("--paranoid").states.values()) == {"same"}


def test_the_output_does_not_depend_on_how_many_compile(bench: Bench) -> None:
    for number in range(40):
        bench.project.write(f"many/m{number}.py", f"x = {number}\n" * (number * 10))
    settle()
    one = bench.compile("-j", "1").image
    bench.image.unlink()
    assert bench.compile("-j", "3").image.codes == one.codes


# --- other interpreters -----------------------------------------------------------------------------------------------


def test_optimisation_is_another_interpreter(bench: Bench) -> None:
    bench.compile()
    optimised = bench.compile(env={"PYTHONOPTIMIZE": "1"})
    assert set(optimised.states.values()) == {"compiled"}
    assert "optimize 1" in optimised.image.interpreter_key
    code = compile(LIB.lstrip("\n"), str(bench.project / "lib.py"), "exec", dont_inherit=True, optimize=1)
    assert flat(optimised.image["plain", "lib.py"].code_object) == flat(code)
    assert set(bench.compile().states.values()) == {"compiled"}


def test_a_variable_that_makes_no_difference_costs_a_start(bench: Bench) -> None:
    bench.compile()
    bench.forget_starts()
    compiled = bench.compile(env={"PYTHONNOUSERSITE": "1"})
    assert set(compiled.states.values()) == {"kept"}
    assert bench.starts == 1
    bench.forget_starts()
    bench.compile(env={"PYTHONNOUSERSITE": "1"})
    assert bench.starts == 0


def test_another_version_compiles_everything_anew(bench: Bench) -> None:
    other = next((path for path in other_pythons() if path.exists()), None)
    if other is None:
        pytest.skip("there is one Python only")
    (bench.project / "tests/test_a.py").unlink()  # the other one has no pytest, perhaps
    (bench.project / "tests/conftest.py").unlink()
    bench.compile()
    bench.python = str(other)
    compiled = bench.compile()
    assert set(compiled.states.values()) == {"compiled"}
    path = bench.project / "lib.py"
    (bench.project / "made").write_bytes(compiled.image["plain", "lib.py"].code)
    program = """
import marshal, sys
made = marshal.load(open(sys.argv[2], "rb"))
sys.exit(made != compile(open(sys.argv[1], "rb").read(), sys.argv[1], "exec", dont_inherit=True))
"""
    command = [str(other), "-c", program, str(path), str(bench.project / "made")]
    subprocess.run(command, check=True, env=clean_environment())


def other_pythons() -> Iterator[Path]:
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for path in itertools.chain(sorted(root.glob("3.1*/bin/python3"), reverse=True), [Path("/usr/bin/python3")]):
        version = subprocess.run([str(path), "-V"], capture_output=True, text=True).stdout if path.exists() else ""
        if version.startswith("Python 3.") and not version.startswith(f"Python 3.{sys.version_info.minor}."):
            yield path


def test_a_script_in_the_place_of_the_interpreter_is_asked_each_time(bench: Bench) -> None:
    shim = bench.project.write("shim", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    shim.chmod(0o755)
    settle()
    bench.python = str(shim)
    bench.compile()
    bench.forget_starts()
    assert set(bench.compile().states.values()) == {"kept"}
    assert bench.starts == 1


def test_without_pytest_what_it_rewrites_is_left_out(bench: Bench) -> None:
    bench.project.write("site/_pytest/__init__.py", "raise ImportError('not today')\n")
    compiled = bench.compile()
    assert (compiled.states["test_a.py"], compiled.states["lib.py"]) == ("left out", "compiled")
    assert "what pytest rewrites is left out: ImportError: not today" in compiled.result.err
    assert ("rewritten", "test_a.py") not in compiled.image
    bench.forget_starts()
    settle()
    bench.compile()
    again = bench.compile()
    assert "left out: ImportError" in again.result.err
    shutil.rmtree(bench.project / "site/_pytest")
    assert bench.compile().states["test_a.py"] == "compiled"


# --- what goes wrong in a source --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("x = 1\ndef f(:\n", ":2: SyntaxError: "),
        ("x = 1\n\nx is 1\n", ':3: SyntaxWarning: "is" with'),
        ("x = 1\0\n", "null bytes"),
        ("# coding: nonsense\n", "SyntaxError: "),
        ("return 1\n", ":1: SyntaxError: 'return' outside function"),
        ("x = 1\n" + "(" * 300 + ")" * 300 + "\n", "too many nested parentheses"),
    ],
)
def test_what_does_not_compile_costs_itself(bench: Bench, source: str, why: str) -> None:
    bench.project.write("broken.py").write_text(source)
    settle()
    compiled = bench.compile("-v")
    assert f"{bench.project / 'broken.py'}:" in compiled.result.err
    assert why in compiled.result.err
    assert "5 compiled, 0 read and found to be the same, 1 that cannot be compiled" in compiled.result.err
    assert compiled.image["plain", "broken.py"].code == b""
    bench.forget_starts()
    assert bench.compile("-v").states["broken.py"] == "kept"
    assert bench.starts == 0
    bench.project.write("broken.py", "x = 1\n")
    assert bench.compile().image["plain", "broken.py"].code != b""


def test_it_is_silent_about_sources_unless_it_is_asked(bench: Bench) -> None:
    bench.project.write("broken.py", "def f(:\n")
    assert bench.compile().result.err == ""


def test_a_test_module_that_warns_has_no_code(bench: Bench) -> None:
    bench.project.write("tests/test_warns.py", WARNS)
    compiled = bench.compile("-v")
    assert "assertion is always true" in compiled.result.err
    assert compiled.image["rewritten", "test_warns.py"].code == b""


# In the place of compile(): what an interpreter does at a source that has these words.
TROUBLE = """
import builtins, os, time, signal
real = builtins.compile
def compile(source, *words, **named):
    text = source if isinstance(source, bytes) else b""
    if b"DIE" in text: os.kill(os.getpid(), signal.SIGSEGV)
    if b"EXIT" in text: os._exit(3)
    if b"BABBLE" in text: os.write(3, b"x" * 100)
    if b"SLEEP" in text: time.sleep(3600)
    if b"SLOW" in text: time.sleep(0.1)
    return real(source, *words, **named)
if sys.argv[0].endswith("child.py"):
    builtins.compile = compile
"""


@pytest.fixture
def trouble(bench: Bench) -> Bench:
    bench.project.write("site/sitecustomize.py", bench.hook(TROUBLE))
    settle()
    return bench


def test_a_crash_costs_one_module(trouble: Bench) -> None:
    for number in range(20):
        word = {3: "DIE", 7: "EXIT", 11: "BABBLE"}.get(number, "")
        trouble.project.write(f"many/m{number:02}.py", f"x = {number}  # {word}\n")
    settle()
    compiled = trouble.compile("-v", "-j", "2")
    for line in (
        "m03.py: the interpreter was ended by signal 11",
        "m07.py: the interpreter ended with exit code 3",
        "m11.py: the interpreter said what is no answer",
    ):
        assert line in compiled.result.err
    without = {Path(module.path).name for module in compiled.image.modules if not module.code}
    assert without == {"m03.py", "m07.py", "m11.py"}
    trouble.forget_starts()
    assert set(trouble.compile().states.values()) == {"kept"}
    assert trouble.starts == 0


def test_a_hang_costs_one_module(trouble: Bench) -> None:
    trouble.project.write("hang.py", "x = 1  # SLEEP\n")
    settle()
    compiled = trouble.compile("-v")
    assert "hang.py: no answer within 10 s" in compiled.result.err
    assert {Path(module.path).name for module in compiled.image.modules if not module.code} == {"hang.py"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_stage_has_made_progress(trouble: Bench, number: int) -> None:
    for index in range(300):
        trouble.project.write(f"many/m{index:03}.py", f"x = {index}  # SLOW\n")
    settle()
    run = trouble.start("--imports", trouble.imports(), "-j", "2")
    # What it has is written from time to time.
    run.wait_for(lambda: trouble.image.exists() and len(bytecode_image.read(trouble.image).modules) > 3)
    seen = {module.path for module in bytecode_image.read(trouble.image).modules}
    run.signal(number)
    run.finish().expect(128 + number)
    image = bytecode_image.read(trouble.image)
    assert {module.path for module in image.modules} >= seen
    assert len(image.modules) < 300
    trouble.project.write("site/sitecustomize.py", trouble.hook())
    compiled = trouble.compile()
    assert list(compiled.states.values()).count("kept") >= len(seen)
    assert len(compiled.image.modules) == 305
    for module in compiled.image.modules:
        make = rewritten_code if module.kind == "rewritten" else plain_code
        assert flat(module.code_object) == flat(make(Path(module.path)))


def test_interpreters_die_with_the_stage(trouble: Bench) -> None:
    trouble.project.write("hang.py", "x = 1  # SLEEP\n")
    run = trouble.start("--imports", trouble.imports())
    run.wait_for(lambda: trouble.log.exists())
    run.signal(signal.SIGKILL)
    run.finish().expect(-signal.SIGKILL)  # which asserts that nothing is left


# --- what goes wrong elsewhere ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["empty", "cut", "foreign", "version", "slots"])
def test_an_image_that_is_none_is_made_anew(bench: Bench, damage: str) -> None:
    first = bench.compile().image
    data = bytearray(bench.image.read_bytes())
    if damage == "empty":
        data.clear()
    elif damage == "cut":
        del data[200:]
    elif damage == "foreign":
        data[:] = b"something else entirely" * 100
    elif damage == "version":
        data[16] = 77
    else:
        data[64:192] = bytes(128)
    bench.image.write_bytes(data)
    compiled = bench.compile()
    (line,) = compiled.result.err.splitlines()
    assert line.startswith(f"tach-compiler: {bench.image}: ") and line.endswith("; all is compiled anew")
    assert set(compiled.states.values()) == {"compiled"}
    assert compiled.image.codes == first.codes
    assert bench.compile().result.err == ""


def test_damaged_code_is_found_by_paranoia(bench: Bench) -> None:
    image = bench.compile().image
    data = bytearray(bench.image.read_bytes())
    at = data.index(image["plain", "lib.py"].code)
    data[at + 20] ^= 1
    bench.image.write_bytes(data)
    compiled = bench.compile("--paranoid")
    assert compiled.states["lib.py"] == "compiled"
    assert compiled.image.codes == image.codes


def test_an_output_that_cannot_be_written_is_told_in_one_line(bench: Bench) -> None:
    words = ["--imports", bench.imports(), "--python", sys.executable]
    command = [str(COMPILER), *words, "-o"]
    for output in (f"{bench.project.write('file')}/image", str(bench.project.path)):
        expect_line(Run([*command, output], bench.project.path, clean_environment()).finish(), 1, output)


def test_a_directory_that_is_read_only_is_told_in_one_line() -> None:
    python = stranger_python()
    if python is None:
        pytest.skip("there is no interpreter that an ordinary user can execute")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "lib.py").write_text("x = 1\n")
        (directory / "closed").mkdir(mode=0o555)
        output = str(directory / "closed/image")
        (directory / "imports").write_bytes(f"tach imports 1\np\0{directory}/lib.py\0lib\0".encode())
        stranger = as_stranger()
        environment = clean_environment(**stranger.pop("env"))
        command = [str(COMPILER), "--imports", str(directory / "imports"), "--python", python, "-o", output]
        expect_line(Run(command, directory, environment, **stranger).finish(), 1, output)
        (directory / "closed").chmod(0o755)


def test_a_full_disk_is_told_in_one_line_and_leaves_the_image(bench: Bench) -> None:
    bench.compile()
    bench.project.write("large.py", "x = [" + ", ".join(f"'{i:0100}'" for i in range(2000)) + "]\n")
    before = bench.image.read_bytes()
    limit = len(before) + 1000

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [str(COMPILER), "--python", sys.executable, "-o", str(bench.image), "--imports", bench.imports()]
    environment = clean_environment(PYTHONPATH="")
    result = subprocess.run(command, env=environment, preexec_fn=limited, capture_output=True, text=True)
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1, result
    assert str(bench.image) in result.stderr
    assert bytecode_image.read(bench.image).codes == bytecode_image_of(before, bench).codes


def bytecode_image_of(data: bytes, bench: Bench) -> Image:
    copy = bench.project / "copy"
    copy.write_bytes(data)
    return bytecode_image.read(copy)


def test_mistakes_are_told_in_one_line(bench: Bench) -> None:
    imports = bench.imports()

    def refused(*words: str) -> Result:
        return Run([str(COMPILER), "-o", str(bench.image), *words], bench.project.path, clean_environment()).finish()

    expect_line(refused(), 2, "--analysis", "--imports")
    expect_line(refused("--imports", "nowhere"), 2, "--imports", "nowhere")
    expect_line(refused("--analysis", "nowhere"), 2, "--analysis", "nowhere")
    expect_line(refused("--analysis", imports), 2, "--analysis", imports)
    expect_line(refused("--imports", imports, "--python", "/nowhere/python"), 2, "--python", "/nowhere/python")
    expect_line(refused("--imports", imports, "--python", "no-such-python"), 2, "no-such-python")
    expect_line(refused("--imports", imports, "--python", "/bin/true"), 2, "/bin/true")
    expect_line(refused("--imports", imports, "--root", "/nowhere"), 2, "--root")
    expect_line(refused("--imports", imports, "-j", "0"), 2, "--jobs=0")
    expect_line(refused("--imports", imports, "--parent", "x"), 2, "--parent=x")
    expect_line(refused("--imports", imports, "--format", "xml"), 2, "--format=xml")
    expect_line(refused("--imports", imports, "--depfile-target", "x"), 2, "--depfile")
    expect_line(refused("--imports", imports, "--nonsense"), 2, "--nonsense")
    assert not bench.image.exists()


@pytest.mark.parametrize("content", [b"", b"something", b"tach imports 1\np\0/a.py", b"tach imports 1\nx\0/a\0a\0"])
def test_a_damaged_list_of_imports_is_left_out(bench: Bench, content: bytes) -> None:
    (bench.project / "damaged").write_bytes(content)
    compiled = bench.compile("--imports", str(bench.project / "damaged"))
    assert len(compiled.result.err.splitlines()) == 1 and "it is left out" in compiled.result.err
    assert ("plain", "lib.py") in compiled.image


def test_the_depfile_has_all_inputs(bench: Bench) -> None:
    bench.project.write("odd $name #1.py", "x = 1\n")
    bench.compile("--depfile", "d", "--depfile-target", "stamp")
    text = (bench.project / "d").read_text()
    assert text.startswith("stamp: \\\n")
    for path in ("lib.py", "tests/test_a.py", "imports", "odd\\ $$name\\ \\#1.py"):
        assert f" {bench.project.path}/{path}" in text
        assert f"\n{bench.project.path}/{path}:\n" in text
    assert "rewrite.py" in text and str(Path(sys.executable)) in text


def test_idly_it_makes_the_same(bench: Bench) -> None:
    first = bench.compile().image
    bench.image.unlink()
    assert bench.compile("--idle").image.codes == first.codes


# --- any order of changes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(int(os.environ.get("TACH_TEST_ROUNDS", "3"))))
def test_after_any_changes_it_is_what_a_fresh_one_makes(bench: Bench, seed: int) -> None:
    chance = random.Random(seed)
    names = [f"many/m{number}.py" for number in range(12)] + [f"tests/test_{number}.py" for number in range(6)]
    old: dict[str, str] = {}

    def edit(name: str) -> None:
        source = chance.choice(["x = {}\n", "assert x == {}\n", "def f(: {}\n", "'{}' is 1\n"])
        bench.project.write(name, source.format(chance.randrange(10)))

    def touch(name: str) -> None:
        os.utime(bench.project / name)

    def swap(name: str) -> None:
        one, other = bench.project / name, bench.project / chance.choice(names)
        if other.exists():
            kept = bench.project / "swapped"
            one.rename(kept)
            if other.exists():
                other.rename(one)
            kept.rename(other)

    def rename(name: str) -> None:
        (bench.project / name).rename(bench.project / chance.choice(names))

    def remember(name: str) -> None:
        old[name] = (bench.project / name).read_text()

    def revert(name: str) -> None:
        if name in old:
            bench.project.write(name, old[name])

    def backdate(name: str) -> None:
        os.utime(bench.project / name, ns=(10**18, 10**18))

    def delete(name: str) -> None:
        (bench.project / name).unlink()

    for name in names:
        edit(name)
    for _ in range(6):
        for _ in range(chance.randrange(8)):
            name = chance.choice(names)
            change = chance.choice([edit, edit, touch, swap, rename, remember, revert, backdate, delete])
            if change in (edit, revert) or (bench.project / name).exists():
                change(name)
        if chance.random() < 0.3:
            settle()
        image = bench.compile(*chance.choice([[], ["-j", "1"]])).image
        fresh = bench.project / "fresh"
        fresh.unlink(missing_ok=True)
        before, bench.image = bench.image, fresh
        assert bench.compile().image.codes == image.codes
        bench.image = before


def test_it_ends_with_the_process_that_started_it(bench: Bench) -> None:
    bench.project.write("site/sitecustomize.py", bench.hook("    import time; time.sleep(100)"))
    words = f"{COMPILER} --python {bench.python} -o {bench.image} --imports {bench.imports()}"
    environment = clean_environment(PYTHONPATH=str(bench.project / "site"))
    run = Run(["sh", "-c", f"{words} --parent $$; true"], bench.project.path, environment)
    run.wait_for(lambda: bench.starts)
    run.signal(signal.SIGKILL)
    run.finish()  # fails if anything is left
    gone = Run(["sh", "-c", f"{words} --parent 1; exit $?"], bench.project.path, environment)
    assert gone.finish().code == 1
