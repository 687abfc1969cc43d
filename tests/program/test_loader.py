"""Modules out of a bytecode image: the same as without, whatever has become of their sources or of the image."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import import_gauntlet
import pytest
from runner import COMPILER, Project, Report, Result, clean_environment, temporary_mode

TAG = str(sys.implementation.cache_tag)
WARNING = "tach: the bytecode image is not used: "


class Loading(Project):
    """A project that has been run, and whose image has been made to its end."""

    @property
    def image(self) -> Path:
        return self / f".tach/cache/{TAG}.bytecode"

    def compile(self, *words: str) -> None:
        """What a run begins and, if it is short, does not end."""
        command = [str(COMPILER), "--imports", str(self.image.with_suffix(".imports")), "-o", str(self.image)]
        command += ["--python", self.python, "--analysis", str(self / ".tach/analysis"), *words]
        subprocess.run(command, cwd=self.path, env=clean_environment(), check=True, timeout=60)

    def warm(self) -> Loading:
        self.json()
        self.compile()
        return self

    def forget_compiled(self) -> None:
        """What importlib and pytest have compiled: they may take it when it is stale, the image's code never is."""
        for cache in self.path.rglob("__pycache__"):
            shutil.rmtree(cache)

    def run_until_made(self) -> None:
        """A run gives the compiler a moment at its end, and the next one goes on where that was too short."""
        before = self.image.stat().st_mtime_ns if self.image.exists() else None
        for _ in range(20):
            self.loaded()
            if self.image.exists() and self.image.stat().st_mtime_ns != before:
                return
        raise AssertionError(f"{self.image} is never made")

    def loaded(self, *words: str) -> int:
        """How many modules a run, which must pass, has from the image."""
        return hits(self.json(*words).expect(0))


def hits(report: Report) -> int:
    return int(report.data["metrics"]["modules_from_image"])


@pytest.fixture
def project(tmp_path: Path) -> Loading:
    return Loading(tmp_path)


@pytest.fixture
def shop(project: Loading) -> Loading:
    project.write("shop.py", "PRICE = 3\n")
    project.write("test_shop.py", "import shop\ndef test_price(): assert shop.PRICE == 3\n")
    return project.warm()


# --- the gauntlet -----------------------------------------------------------------------------------------------------


@pytest.fixture
def gauntlet(project: Loading) -> Loading:
    import_gauntlet.write_packages(project.path)
    shutil.copy(import_gauntlet.__file__, project / "test_gauntlet.py")
    return project


def test_the_gauntlet_is_run_as_by_pytest(gauntlet: Loading) -> None:
    def outcomes(*words: str) -> dict[str, str]:
        return gauntlet.json(*words).expect(0).outcomes

    plain = gauntlet.pytest()
    cold = outcomes()
    assert plain.counts == {"passed": len(cold)} == {"passed": 108}
    gauntlet.compile()
    for words in ((), ("-n", "1"), ("--engine", "fork"), ("--mode", "shared"), ("--no-loader",)):
        assert outcomes(*words) == cold
    assert gauntlet.loaded() > 200


# --- what is loaded from where ----------------------------------------------------------------------------------------


def test_a_second_run_loads_from_the_image(shop: Loading) -> None:
    assert shop.loaded() > 100
    assert shop.loaded("--no-loader") == 0
    line = next(line for line in shop.tach("-v").lines if "from the bytecode image" in line)
    assert line.endswith("modules from the bytecode image, 0 sources changed since")
    shop.write("tach.toml", "[loader]\nenabled = false\n")
    assert shop.loaded() == 0


def test_the_first_run_does_without_and_makes_it(project: Loading) -> None:
    project.write("test_it.py", "import time\ndef test_it(): time.sleep(1)\n")
    assert project.loaded() == 0
    if not project.image.is_file():  # on a busy machine
        project.run_until_made()
    assert project.loaded() > 0


def test_nothing_is_made_where_nothing_is_missing(shop: Loading) -> None:
    shop.loaded()
    before = shop.image.stat()
    shop.loaded()
    after = shop.image.stat()
    assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)


def test_listing_and_explaining(shop: Loading) -> None:
    assert "test_shop.py::test_price" in shop.tach("--list").expect(0).lines
    shop.tach("--explain", "test_shop.py::test_price").expect(0)


def test_a_run_below_the_root(shop: Loading) -> None:
    shop.write("deep/test_deep.py", "def test_deep(): pass\n")
    shop.write("pytest.ini", "[pytest]\n")
    below = Loading(shop / "deep")
    assert below.loaded() > 100


def test_rewritten_modules_come_from_it_too(shop: Loading) -> None:
    shop.write("test_shop.py", "import shop\ndef test_price():\n    price = shop.PRICE\n    assert price == 4\n")
    shop.json()
    shop.compile()
    shop.forget_compiled()
    result = shop.tach()
    assert "E       assert 3 == 4" in result.lines
    assert not list(shop.path.rglob("test_shop*.pyc"))  # pytest had no need to rewrite it


def test_an_assertion_pass_hook(shop: Loading) -> None:
    shop.write("conftest.py", "def pytest_assertion_pass(item, expl): print('passed:', expl)\n")
    assert shop.loaded() > 0
    shop.write("pytest.ini", "[pytest]\nenable_assertion_pass_hook = true\n")
    shop.run_until_made()
    for _ in range(2):
        shop.forget_compiled()
        assert "passed: 3 == 3" in shop.tach("-rP").lines
        shop.compile()
    shop.write("pytest.ini", "[pytest]\n")
    shop.forget_compiled()
    assert "passed: 3 == 3" not in shop.tach("-rP").lines


def test_plain_asserts(shop: Loading) -> None:
    shop.write("test_shop.py", "def test_price():\n    price = 3\n    assert price == 4\n")
    shop.json()
    shop.compile()
    assert "E       AssertionError" in shop.tach("--assert=plain").lines
    assert "E       assert 3 == 4" in shop.tach().lines


def test_warnings_of_the_compiler_are_heard(project: Loading) -> None:
    project.write("test_it.py", "import loud\ndef test_it(): assert (loud.X, 'always true')\n")
    project.write("loud.py", "X = 1 is 1\n")
    project.warm()

    def warnings(run: Callable[[], Result]) -> list[str]:
        project.forget_compiled()
        return sorted(line.strip() for line in run().lines if "Warning" in line)

    assert warnings(project.tach) == warnings(project.pytest)
    assert len(warnings(project.tach)) == 2


@pytest.mark.parametrize("level", ["1", "2"])
def test_levels_of_optimisation(shop: Loading, level: str) -> None:
    shop.write("shop.py", "'''Text.'''\nPRICE = 3\nDOC = __doc__\ndef check(): assert False\n")
    shop.write("test_shop.py", "import shop\ndef test_it():\n    shop.check()\n    if shop.DOC: raise ValueError\n")
    shop.json()
    shop.compile()
    optimised = {"PYTHONOPTIMIZE": level}
    shop.json().expect(1)
    report = shop.json(env=optimised)
    assert report.outcomes == {"test_it": "failed" if level == "1" else "passed"}
    assert hits(report) == 0


def test_another_interpreter(shop: Loading) -> None:
    own = shop.image.read_bytes()
    shop.image.write_bytes(own.replace(f"optimize {sys.flags.optimize}".encode(), b"optimize 7"))
    assert WARNING in shop.tach().out  # the hash of the index is another one
    shop.image.write_bytes(own)
    assert shop.loaded() > 0


def test_whatever_is_in_the_table_of_modules(shop: Loading) -> None:
    """Nothing that a suite has put there is run, or read as if it were a module's."""
    shop.write("lazy_module.py", "raise RuntimeError('loaded')\n")
    shop.write(
        "conftest.py",
        """
        import importlib.util, sys

        class Angry:
            def __getattr__(self, name):
                raise RuntimeError(name)

        spec = importlib.util.find_spec("lazy_module")
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules.update({"lazy_module": module, "angry": Angry(), "nothing": None, 3: sys})
        """,
    )
    assert shop.loaded() > 0
    shop.compile()
    assert shop.loaded() > 0
    shop.tach("--mode", "shared").expect(0, passed=1)


def test_names_that_are_not_utf8(project: Loading) -> None:
    directory = os.fsencode(project.path) + b"/lib\xe9"
    os.mkdir(directory)
    with open(directory + b"/inner.py", "w") as file:
        file.write("VALUE = 1\n")
    project.write(
        "conftest.py", "import os, sys\nsys.path.insert(0, os.fsdecode(os.fsencode(os.getcwd()) + b'/lib\\xe9'))\n"
    )
    project.write("test_it.py", "import inner\ndef test_it(): assert inner.VALUE == 1\n")
    project.warm()
    before = project.loaded()
    with open(directory + b"/inner.py", "w") as file:
        file.write("VALUE = 2\n")
    project.tach().expect(1, failed=1)
    assert before > 100


def test_path_hooks_of_the_environment(project: Loading) -> None:
    """They are there before tach is."""
    project.write("tested/part.py", "VALUE = 'plain'\n")
    project.write("test_it.py", "import tested.part\ndef test_it(): assert tested.part.VALUE == 'hooked'\n")
    project.write("tested/__init__.py")
    hook = """
        import sys
        from importlib.machinery import FileFinder, SourceFileLoader

        class Hooked(SourceFileLoader):
            def get_code(self, name):
                source = self.get_data(self.path).replace(b"plain", b"hooked")
                return compile(source, self.path, "exec", dont_inherit=True)

        def hook(path):
            if path.endswith("/tested"):
                return FileFinder(path, (Hooked, [".py"]))
            raise ImportError

        sys.path_hooks.insert(0, hook)
        """
    project.write("site/sitecustomize.py", hook)
    environment = {"PYTHONPATH": str(project / "site")}
    project.json(env=environment).expect(0)
    project.compile()
    assert hits(project.json(env=environment).expect(0)) > 100


def test_a_plugin_that_changes_the_rewriter(shop: Loading) -> None:
    shop.write("test_shop.py", "def test_it():\n    price = 3\n    assert price == 4\n")
    shop.json()
    shop.compile()
    plugin = "from _pytest.assertion import rewrite\nrewrite.rewrite_asserts = lambda *a, **k: None\n"
    shop.write("changes.py", plugin)
    for _ in range(2):
        shop.forget_compiled()
        result = shop.tach("-p", "changes", env={"PYTHONPATH": str(shop.path)}).expect(1, failed=1)
        assert "E       assert 3 == 4" not in result.lines and "E       AssertionError" in result.lines
        shop.compile()


def test_a_test_that_closes_every_descriptor(shop: Loading) -> None:
    shop.write(
        "test_shop.py", "import os\nos.closerange(590, 1000)\nimport shop\ndef test_it(): assert shop.PRICE == 3\n"
    )
    before = shop.image.stat().st_ino
    assert WARNING not in shop.tach("--mode", "shared").expect(0, passed=1).out
    assert shop.image.stat().st_ino == before


def test_a_touched_source_is_signed_again(shop: Loading) -> None:
    os.utime(shop / "shop.py", (1, 1))
    before = shop.image.stat().st_mtime_ns
    shop.loaded()
    shop.compile()
    assert shop.image.stat().st_mtime_ns != before
    before = shop.image.stat().st_mtime_ns
    shop.loaded()
    assert shop.image.stat().st_mtime_ns == before


# --- sources that change ----------------------------------------------------------------------------------------------


def price_is(project: Loading, price: int) -> None:
    project.write("test_shop.py", f"import shop\ndef test_price(): assert shop.PRICE == {price}\n")
    project.json().expect(0, passed=1)


def test_an_edit_of_equal_size_within_its_second(shop: Loading) -> None:
    before = (shop / "shop.py").stat()
    (shop / "shop.py").write_text("PRICE = 4\n")
    os.utime(shop / "shop.py", ns=(before.st_atime_ns, before.st_mtime_ns))
    shop.forget_compiled()  # importlib itself takes a stale one
    price_is(shop, 4)


def test_a_touched_source_is_the_same(shop: Loading) -> None:
    before = shop.loaded()
    os.utime(shop / "shop.py")
    assert shop.loaded() == before


def test_paranoia(shop: Loading) -> None:
    before = shop.loaded()
    shop.write("tach.toml", "[loader]\nparanoid = true\n")
    assert shop.loaded() == before
    (shop / "shop.py").write_text("PRICE = 5\n")
    price_is(shop, 5)


def test_a_source_that_goes(shop: Loading) -> None:
    (shop / "shop.py").unlink()
    assert "ModuleNotFoundError: No module named 'shop'" in shop.tach().out
    shop.write("shop/__init__.py", "PRICE = 6\n")
    price_is(shop, 6)


EDITS: dict[str, Callable[[Loading, random.Random], None]] = {}


def edit(function: Callable[[Loading, random.Random], None]) -> Callable[[Loading, random.Random], None]:
    EDITS[function.__name__] = function
    return function


def some(project: Loading, chance: random.Random) -> Path:
    return project / f"m{chance.randrange(4)}.py"


@edit
def write(project: Loading, chance: random.Random) -> None:
    some(project, chance).write_text(f"VALUE = {chance.randrange(10, 100)}\n")


@edit
def write_and_hide(project: Loading, chance: random.Random) -> None:
    file = some(project, chance)
    before = file.stat()
    file.write_text(f"VALUE = {chance.randrange(10, 100)}\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@edit
def touch(project: Loading, chance: random.Random) -> None:
    os.utime(some(project, chance))


@edit
def swap(project: Loading, chance: random.Random) -> None:
    one, other = some(project, chance), some(project, chance)
    if one != other:
        aside = project / "aside.txt"
        one.rename(aside)
        other.rename(one)
        aside.rename(other)


@edit
def replace(project: Loading, chance: random.Random) -> None:
    fresh = project.write("fresh.txt", f"VALUE = {chance.randrange(10, 100)}\n")
    fresh.rename(some(project, chance))


@edit
def revert(project: Loading, chance: random.Random) -> None:
    some(project, chance).write_text("VALUE = 1\n")


@edit
def make_a_package(project: Loading, chance: random.Random) -> None:
    name = some(project, chance).stem
    if not (project / name).exists():
        project.write(f"{name}/__init__.py", f"VALUE = {chance.randrange(10, 100)}\n")


@edit
def drop_a_package(project: Loading, chance: random.Random) -> None:
    shutil.rmtree(project / some(project, chance).stem, ignore_errors=True)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_loaded_is_never_stale(project: Loading, seed: int) -> None:
    """After any edits, a module's value is that of the source that the interpreter would find."""
    chance = random.Random(seed)
    for number in range(4):
        project.write(f"m{number}.py", "VALUE = 1\n")
    project.write("test_it.py", "def test_it(): import show\n")
    project.write(
        "conftest.py",
        "import m0, m1, m2, m3, sys\n[open('seen', 'a').write(f'{m.VALUE} ') for m in (m0, m1, m2, m3)]\n",
    )
    project.warm()
    for _ in range(6):
        for name in chance.choices(sorted(EDITS), k=chance.randrange(1, 4)):
            EDITS[name](project, chance)
        project.forget_compiled()
        (project / "seen").unlink(missing_ok=True)
        project.tach("--no-header")
        expected = []
        for number in range(4):
            package = project / f"m{number}" / "__init__.py"
            source = package if package.is_file() else project / f"m{number}.py"
            names: dict[str, int] = {}
            exec(source.read_text(), names)
            expected.append(str(names["VALUE"]))
        assert (project / "seen").read_text().split() == expected
        if chance.random() < 0.5:
            project.compile()


# --- images that cannot be used ---------------------------------------------------------------------------------------


def cut_in_half(image: Path) -> None:
    os.truncate(image, image.stat().st_size // 2)


def cut_short(image: Path) -> None:
    os.truncate(image, 40)


def empty(image: Path) -> None:
    os.truncate(image, 0)


def scribble(image: Path) -> None:
    data = bytearray(image.read_bytes())
    for place in range(192, len(data), 97):
        data[place] ^= 0xFF
    image.write_bytes(data)


def scribble_code(image: Path) -> None:
    """Only the code: the index says nothing of it."""
    data = bytearray(image.read_bytes())
    for place in range(192, len(data) // 4, 97):
        data[place] ^= 0xFF
    image.write_bytes(data)


def foreign(image: Path) -> None:
    image.write_bytes(b"PK\3\4" * 1000)


def directory(image: Path) -> None:
    image.unlink()
    image.mkdir()


@pytest.mark.parametrize(
    "spoil", [cut_in_half, cut_short, empty, scribble, scribble_code, foreign, directory], ids=lambda s: s.__name__
)
def test_a_spoilt_image_is_not_used(shop: Loading, spoil: Callable[[Path], None]) -> None:
    shop.image.unlink()
    shop.compile()  # in one piece, without an older index to fall back on
    spoil(shop.image)
    result = shop.tach().expect(0, passed=1)
    assert len([line for line in result.lines if line.startswith(WARNING)]) == 1
    if spoil is directory:
        return
    shop.compile()
    assert WARNING not in shop.tach().out
    assert shop.loaded() > 100


def test_an_image_that_is_replaced_while_it_is_used(shop: Loading) -> None:
    shop.write(
        "test_shop.py",
        f"""
        import os, shutil

        def test_replace():
            image = {str(shop.image)!r}
            shutil.copy(image, image + ".new")
            os.truncate(image + ".new", 500)
            os.rename(image + ".new", image)

        def test_import():
            import shop
            assert shop.PRICE == 3
        """,
    )
    shop.json("-n", "1").expect(0, passed=2)


@pytest.fixture
def unwritable(shop: Loading) -> Iterator[Loading]:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    with temporary_mode(shop.image.parent, 0o555):
        yield shop


def test_a_directory_that_cannot_be_written(unwritable: Loading) -> None:
    unwritable.write("shop.py", "PRICE = 3  # changed\n")
    unwritable.json().expect(0, passed=1)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_an_image_of_another_user_is_not_used(shop: Loading) -> None:
    os.chown(shop.image, 65534, 65534)
    result = shop.tach().expect(0, passed=1)
    assert f"{WARNING}{shop.image}: it is another user's" in result.lines
