"""A suite about imports, of exact assertions: it must pass under pytest as it is, and so under tach with any loader.

Not collected itself: test_loader.py copies it into a project, beside the packages that `write_packages` makes.
"""

from __future__ import annotations

import copy
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.resources
import importlib.util
import inspect
import linecache
import os
import pickle
import pkgutil
import runpy
import signal
import subprocess
import sys
import threading
import traceback
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CHAIN = 50
SUFFIX = f".{sys.implementation.cache_tag}.pyc"


def write_packages(root: Path) -> None:
    """What the suite imports: a package with all that packages have, a chain of modules, modules that fail."""
    files = {
        "conftest.py": "import helper\nimport pytest\npytest.register_assert_rewrite('rewritten')\n",
        "helper.py": "VALUE = 'helper'\ndef fail():\n    raise ValueError('from helper')\n",
        "rewritten.py": "def check(value):\n    assert value == 1\n",
        "shop/__init__.py": '"""A shop."""\nfrom .prices import PRICE\n__all__ = ["prices", "stock"]\n',
        "shop/__main__.py": "print('main of', __package__, __spec__.name)\n",
        "shop/prices.py": "PRICE: int = 3\n",
        "shop/stock.py": "from . import prices\nfrom .prices import PRICE as PAID\nfrom .deep import well\n",
        "shop/data.txt": "data\n",
        "shop/deep/__init__.py": "",
        "shop/deep/well.py": "from .. import prices\nfrom ..prices import PRICE\n",
        "shop/deep/beyond.py": "from .... import nothing\n",
        "circle/__init__.py": "",
        "circle/first.py": "from . import second\nNAME = 'first'\n",
        "circle/second.py": "from . import first\nNAME = 'second'\n",
        "circle/third.py": "from .fourth import NAME\n",
        "circle/fourth.py": "from .third import OTHER\nNAME = 'fourth'\n",
        "broken_syntax.py": "x = (\n",
        "broken_body.py": "import helper\n\ndef inner():\n    helper.fail()\n\ninner()\n",
        "broken_import.py": "from helper import no_such_name\n",
        "replaces_itself.py": "import sys, types\nsys.modules[__name__] = types.SimpleNamespace(value=5)\n",
        "lazy_names.py": "def __getattr__(name):\n    return name.upper()\n",
        "no_package/README": "not a package\n",
        "left/shadow.py": "SIDE = 'left'\n",
        "right/shadow.py": "SIDE = 'right'\n",
        "part_one/spread/one.py": "PART = 1\n",
        "part_two/spread/two.py": "PART = 2\n",
        "editable/src/edited_package/__init__.py": "PLACE = __file__\n",
    }
    for number in range(CHAIN):
        before = f"from chain.link{number - 1} import VALUE as BEFORE\n" if number else "BEFORE = -1\n"
        files[f"chain/link{number}.py"] = f"{before}VALUE = BEFORE + 1\n"
    files["chain/__init__.py"] = ""
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Imports a module as if for the first time, and forgets it, its parents and its children afterwards."""
    before = dict(sys.modules)

    def import_fresh(name: str) -> Any:
        top = name.partition(".")[0]
        for known in [known for known in sys.modules if known == top or known.startswith(top + ".")]:
            del sys.modules[known]
        return importlib.import_module(name)

    yield import_fresh
    sys.modules.clear()
    sys.modules.update(before)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory at the start of sys.path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


# --- finders ----------------------------------------------------------------------------------------------------------


def test_finders_stand_in_their_order() -> None:
    names = [getattr(finder, "__name__", type(finder).__name__) for finder in sys.meta_path]
    known = [n for n in names if n in {"AssertionRewritingHook", "BuiltinImporter", "FrozenImporter", "PathFinder"}]
    assert known == ["AssertionRewritingHook", "BuiltinImporter", "FrozenImporter", "PathFinder"]
    assert names[0] == "AssertionRewritingHook"


def test_path_hooks_are_the_interpreter_s() -> None:
    assert [getattr(hook, "__name__", "") for hook in sys.path_hooks] == ["zipimporter", "path_hook_for_FileFinder"]


def test_a_finder_in_front_wins(monkeypatch: pytest.MonkeyPatch, fresh: Any) -> None:
    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
            if name != "helper":
                return None
            return importlib.util.spec_from_loader(name, Invented())

    class Invented(importlib.abc.Loader):
        def exec_module(self, module: types.ModuleType) -> None:
            module.VALUE = "invented"  # type: ignore[attr-defined]

    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    assert fresh("helper").VALUE == "invented"


def test_a_path_hook_in_front_wins(monkeypatch: pytest.MonkeyPatch, fresh: Any) -> None:
    seen = []

    def hook(path: str) -> Any:
        seen.append(path)
        raise ImportError

    monkeypatch.setattr(sys, "path_hooks", [hook, *sys.path_hooks])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    assert fresh("shop.stock").PAID == 3
    assert str(HERE) in seen and str(HERE / "shop") in seen


def test_a_loader_of_an_own_kind_is_used(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Loud(importlib.machinery.SourceFileLoader):
        def get_data(self, path: str) -> bytes:
            data = super().get_data(path)
            return data.replace(b"quiet", b"LOUD") if path.endswith(".py") else data

        def path_stats(self, path: str) -> Any:
            raise OSError

    (place / "voice.py").write_text("VOICE = 'quiet'\n")
    finder = importlib.machinery.FileFinder(str(place), (Loud, [".py"]))
    monkeypatch.setitem(sys.path_importer_cache, str(place), finder)
    assert importlib.import_module("voice").VOICE == "LOUD"
    del sys.modules["voice"]


def test_a_patched_loader_class_is_used(fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    original = importlib.machinery.SourceFileLoader.get_code

    def get_code(self: Any, name: str) -> Any:
        asked.append(name)
        return original(self, name)

    monkeypatch.setattr(importlib.machinery.SourceFileLoader, "get_code", get_code)
    fresh("shop.prices")
    assert asked == ["shop", "shop.prices"]


def test_a_finder_that_inherits(fresh: Any) -> None:
    class Own(importlib.machinery.PathFinder):
        @classmethod
        def _get_spec(cls, fullname: str, path: Any, target: Any = None) -> Any:
            return importlib.machinery.ModuleSpec(fullname, None, origin="own")

    assert Own.find_spec("helper", [str(HERE)]) is None
    assert importlib.machinery.PathFinder.find_spec("helper", [str(HERE)]) is not None


@pytest.mark.parametrize(
    ("name", "loader"),
    [
        ("sys", "BuiltinImporter"),
        ("zipimport", "FrozenImporter"),
        ("colorsys", "SourceFileLoader"),
        ("helper", "SourceFileLoader"),
        ("conftest", "AssertionRewritingHook"),
        ("rewritten", "AssertionRewritingHook"),
        (__name__, "AssertionRewritingHook"),
    ],
)
def test_who_loads_what(name: str, loader: str) -> None:
    found = importlib.import_module(name).__loader__
    assert (found.__name__ if isinstance(found, type) else type(found).__name__) == loader


def test_extension_modules() -> None:
    module: Any = importlib.import_module("_testcapi" if importlib.util.find_spec("_testcapi") else "_json")
    if module.__spec__.origin == "built-in":
        pytest.skip("all are built in")
    assert type(module.__loader__) is importlib.machinery.ExtensionFileLoader
    assert module.__file__.endswith(".so")


def test_what_is_not_there() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'no_such_module'$") as caught:
        importlib.import_module("no_such_module")
    assert caught.value.name == "no_such_module" and caught.value.path is None
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'helper.inner'; 'helper' is not a package$"):
        importlib.import_module("helper.inner")
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'shop.none'$"):
        importlib.import_module("shop.none")
    assert importlib.util.find_spec("no_such_module") is None


# --- what a module says of itself -------------------------------------------------------------------------------------


def test_a_module_s_attributes(fresh: Any) -> None:
    module = fresh("shop.prices")
    path = str(HERE / "shop" / "prices.py")
    assert module.__name__ == "shop.prices"
    assert module.__package__ == "shop"
    assert module.__file__ == path
    assert module.__cached__ == str(HERE / "shop" / "__pycache__" / f"prices{SUFFIX}")
    assert not hasattr(module, "__path__")
    assert module.__doc__ is None
    assert module.__loader__ is module.__spec__.loader
    assert module.__builtins__ is vars(importlib.import_module("builtins"))
    assert module.__annotations__ == {"PRICE": int}


def test_a_package_s_attributes(fresh: Any) -> None:
    package = fresh("shop")
    assert package.__package__ == package.__name__ == "shop"
    assert package.__file__ == str(HERE / "shop" / "__init__.py")
    assert package.__path__ == [str(HERE / "shop")] and type(package.__path__) is list
    assert package.__path__ is package.__spec__.submodule_search_locations
    assert package.__doc__ == "A shop."
    assert package.prices is sys.modules["shop.prices"]
    assert not hasattr(package, "stock")


def test_a_spec_s_fields(fresh: Any) -> None:
    spec = fresh("shop.prices").__spec__
    path = str(HERE / "shop" / "prices.py")
    assert type(spec) is importlib.machinery.ModuleSpec
    assert (spec.name, spec.origin, spec.parent, spec.has_location) == ("shop.prices", path, "shop", True)
    assert spec.cached == importlib.util.cache_from_source(path)
    assert spec.loader_state is None and spec.submodule_search_locations is None
    assert spec == importlib.util.spec_from_file_location("shop.prices", path, loader=spec.loader)
    assert repr(spec) == f"ModuleSpec(name='shop.prices', loader={spec.loader!r}, origin={path!r})"


def test_a_package_s_spec(fresh: Any) -> None:
    spec = fresh("shop").__spec__
    assert (spec.name, spec.parent, spec.has_location) == ("shop", "shop", True)
    assert spec.submodule_search_locations == [str(HERE / "shop")]


def test_a_loader_is_as_any_other(fresh: Any) -> None:
    loader = fresh("shop.prices").__loader__
    assert type(loader) is importlib.machinery.SourceFileLoader
    assert vars(loader) == {"name": "shop.prices", "path": str(HERE / "shop" / "prices.py")}
    assert loader == importlib.machinery.SourceFileLoader("shop.prices", loader.path)


def test_specs_and_loaders_are_values(fresh: Any) -> None:
    module = fresh("helper")
    find = importlib.machinery.PathFinder.find_spec
    assert find("helper") == find("helper") == module.__spec__
    loader: Any = find("helper").loader  # type: ignore[union-attr]
    assert vars(loader) == vars(module.__loader__)
    assert pickle.loads(pickle.dumps(loader)) == copy.copy(loader) == loader
    assert list(inspect.signature(find).parameters) == ["fullname", "path", "target"]
    assert list(inspect.signature(loader.get_code).parameters) == ["fullname"]
    gc.collect()
    find("helper")
    assert gc.collect() == 0


def test_a_loader_that_is_changed_before_it_is_used(fresh: Any) -> None:
    def found() -> tuple[Any, Any]:
        sys.modules.pop("helper", None)
        spec = importlib.util.find_spec("helper")
        assert spec is not None
        return spec.loader, importlib.util.module_from_spec(spec)

    loader, module = found()
    loader.get_code = lambda name: compile("VALUE = 'own code'", "own", "exec")
    loader.exec_module(module)
    assert module.VALUE == "own code"

    class Own(importlib.machinery.SourceFileLoader):
        def exec_module(self, module: types.ModuleType) -> None:
            super().exec_module(module)
            module.VALUE += " and more"  # type: ignore[attr-defined]

    loader, module = found()
    loader.__class__ = Own
    loader.exec_module(module)
    assert module.VALUE == "helper and more"

    loader, module = found()
    with pytest.raises(ImportError, match="loader for helper cannot handle other"):
        loader.exec_module(types.ModuleType("other"))


def test_patched_finders_are_used(fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    original = importlib.machinery.FileFinder.find_spec

    def find_spec(self: Any, name: str, target: Any = None) -> Any:
        asked.append(name)
        return original(self, name, target)

    monkeypatch.setattr(importlib.machinery.FileFinder, "find_spec", find_spec)
    fresh("shop.prices")
    assert asked.count("shop.prices") == 1 and "shop" in asked


def test_directories_are_known_to_others(fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path_importer_cache", {})
    fresh("shop.prices")
    assert {str(HERE), str(HERE / "shop")} <= set(sys.path_importer_cache)


def test_signals_while_modules_are_looked_for(fresh: Any) -> None:
    class Stop(Exception):
        pass

    def stop(*_: Any) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    stopped = 0
    try:
        for _ in range(200):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0002)
                while True:
                    importlib.machinery.PathFinder.find_spec("helper")
            except Stop:
                stopped += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert stopped == 200


def test_what_a_loader_can_tell(fresh: Any) -> None:
    loader = fresh("shop").__loader__
    source = (HERE / "shop" / "__init__.py").read_text()
    assert loader.get_source("shop") == source
    assert loader.get_data(str(HERE / "shop" / "data.txt")) == b"data\n"
    assert loader.get_filename("shop") == str(HERE / "shop" / "__init__.py")
    assert loader.is_package("shop") is True
    assert loader.get_code("shop").co_filename == str(HERE / "shop" / "__init__.py")
    assert type(loader.get_resource_reader("shop")).__name__ == "FileReader"
    with pytest.raises(ImportError, match="loader for shop cannot handle other"):
        loader.get_source("other")


def test_resources(fresh: Any) -> None:
    fresh("shop")
    assert importlib.resources.files("shop").joinpath("data.txt").read_text() == "data\n"
    assert pkgutil.get_data("shop", "data.txt") == b"data\n"


def test_inspect_and_linecache(fresh: Any) -> None:
    module = fresh("helper")
    assert inspect.getsource(module.fail) == "def fail():\n    raise ValueError('from helper')\n"
    assert inspect.getsourcefile(module.fail) == inspect.getfile(module) == str(HERE / "helper.py")
    assert inspect.getmodule(module.fail) is module
    assert linecache.getline(str(HERE / "helper.py"), 1) == "VALUE = 'helper'\n"
    assert linecache.getline("<none>", 1, vars(module)) == ""
    code = module.fail.__code__
    assert (code.co_filename, code.co_firstlineno) == (str(HERE / "helper.py"), 2)


def test_pkgutil(fresh: Any) -> None:
    package = fresh("shop")
    assert [m.name for m in pkgutil.iter_modules(package.__path__)] == ["__main__", "deep", "prices", "stock"]
    walked = [m.name for m in pkgutil.walk_packages(package.__path__, "shop.")]
    assert walked == ["shop.__main__", "shop.deep", "shop.deep.beyond", "shop.deep.well", "shop.prices", "shop.stock"]
    assert pkgutil.resolve_name("shop.prices:PRICE") == 3
    assert isinstance(pkgutil.get_importer(str(HERE)), importlib.machinery.FileFinder)


# --- imports ----------------------------------------------------------------------------------------------------------


def test_relative_imports(fresh: Any) -> None:
    stock = fresh("shop.stock")
    assert (stock.PAID, stock.well.PRICE) == (3, 3)
    assert stock.prices is stock.well.prices is sys.modules["shop.prices"]
    with pytest.raises(ImportError, match=r"^attempted relative import beyond top-level package$"):
        fresh("shop.deep.beyond")


def test_forms_of_import(fresh: Any) -> None:
    fresh("shop")
    names: dict[str, Any] = {}
    exec("import shop.deep.well as deepest\nfrom shop import *\nimport shop.deep", names)
    assert names["deepest"] is sys.modules["shop.deep.well"]
    assert names["prices"] is sys.modules["shop.prices"] and names["stock"] is sys.modules["shop.stock"]
    assert names["shop"].deep.well is names["deepest"]


def test_circles(fresh: Any) -> None:
    first = fresh("circle.first")
    assert first.second.first is first and first.second.NAME == "second"
    with pytest.raises(
        ImportError, match=r"cannot import name 'NAME' from partially initialized module 'circle.fourth'"
    ):
        fresh("circle.fourth")
    assert "circle.fourth" not in sys.modules and "circle.third" not in sys.modules


@pytest.mark.parametrize("number", range(CHAIN))
def test_a_chain(number: int) -> None:
    module: Any = importlib.import_module(f"chain.link{number}")
    assert number == module.VALUE
    assert module.__spec__.origin == str(HERE / "chain" / f"link{number}.py")


def test_a_chain_from_its_end(fresh: Any) -> None:
    assert fresh(f"chain.link{CHAIN - 1}").VALUE == CHAIN - 1
    assert all(f"chain.link{number}" in sys.modules for number in range(CHAIN))


def test_many_threads(fresh: Any) -> None:
    fresh("chain")
    values: list[int] = []

    def work() -> None:
        values.append(importlib.import_module(f"chain.link{CHAIN - 1}").VALUE)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == [CHAIN - 1] * 8


def test_modules_that_do_as_they_like(fresh: Any) -> None:
    assert fresh("replaces_itself").value == 5
    assert fresh("lazy_names").anything == "ANYTHING"


def test_a_library_module_nobody_has_imported(fresh: Any) -> None:
    module = fresh("colorsys")
    assert module.rgb_to_hsv(0.0, 0.0, 0.0) == (0.0, 0.0, 0.0)
    assert type(module.__loader__) is importlib.machinery.SourceFileLoader


# --- failures ---------------------------------------------------------------------------------------------------------


def frames_of(error: BaseException) -> list[tuple[str, int, str]]:
    found = traceback.extract_tb(error.__traceback__)
    return [(Path(f.filename).name, f.lineno or 0, f.name) for f in found if Path(f.filename).parent == HERE]


def test_a_body_that_raises(fresh: Any) -> None:
    names: dict[str, Any] = {"__name__": "importer"}
    with pytest.raises(ValueError, match="from helper") as caught:
        exec("import broken_body", names)
    text = "".join(traceback.format_exception(caught.value))
    assert "importlib" not in text
    assert frames_of(caught.value)[-3:] == [
        ("broken_body.py", 6, "<module>"),
        ("broken_body.py", 4, "inner"),
        ("helper.py", 3, "fail"),
    ]
    assert "broken_body" not in sys.modules


def test_a_source_that_does_not_compile() -> None:
    with pytest.raises(SyntaxError) as caught:
        importlib.import_module("broken_syntax")
    assert (caught.value.filename, caught.value.lineno) == (str(HERE / "broken_syntax.py"), 1)
    assert "broken_syntax" not in sys.modules


def test_a_name_that_is_missing(fresh: Any) -> None:
    names: dict[str, Any] = {}
    with pytest.raises(ImportError) as caught:
        exec("import broken_import", names)
    assert str(caught.value) == f"cannot import name 'no_such_name' from 'helper' ({HERE / 'helper.py'})"
    assert caught.value.name == "helper" and caught.value.path == str(HERE / "helper.py")
    assert "importlib" not in "".join(traceback.format_exception(caught.value))


def test_rewritten_asserts_speak(fresh: Any) -> None:
    with pytest.raises(AssertionError, match=r"^assert 2 == 1$"):
        importlib.import_module("rewritten").check(2)


# --- search paths that change -----------------------------------------------------------------------------------------


def test_the_first_directory_wins(fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE / "left"))
    assert fresh("shadow").SIDE == "left"
    monkeypatch.syspath_prepend(str(HERE / "right"))
    assert fresh("shadow").SIDE == "right"
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(HERE / "right")])
    assert fresh("shadow").SIDE == "left"


def test_a_module_shadows_the_library(place: Path, fresh: Any) -> None:
    (place / "colorsys.py").write_text("OWN = True\n")
    importlib.invalidate_caches()
    assert fresh("colorsys").OWN is True
    (place / "colorsys.py").unlink()
    importlib.invalidate_caches()
    assert not hasattr(fresh("colorsys"), "OWN")


def test_a_module_comes_and_goes(place: Path, fresh: Any) -> None:
    assert importlib.util.find_spec("passing") is None
    (place / "passing.py").write_text("VALUE = 1\n")
    importlib.invalidate_caches()
    assert fresh("passing").VALUE == 1
    (place / "passing.py").unlink()
    importlib.invalidate_caches()
    with pytest.raises(ModuleNotFoundError):
        fresh("passing")
    (place / "passing").mkdir()
    (place / "passing" / "__init__.py").write_text("VALUE = 2\n")
    importlib.invalidate_caches()
    assert fresh("passing").VALUE == 2


def test_an_edit_is_seen(place: Path, fresh: Any) -> None:
    source = place / "edited.py"
    source.write_text("VALUE = 3\n")
    importlib.invalidate_caches()
    assert fresh("edited").VALUE == 3
    source.write_text("VALUE = 44\n")
    assert fresh("edited").VALUE == 44
    assert importlib.reload(sys.modules["edited"]).VALUE == 44
    source.write_text("VALUE = 3\n")
    os.utime(source, (1, 1))  # a date that no compiled file can have
    assert fresh("edited").VALUE == 3


def test_reload(fresh: Any) -> None:
    module = fresh("helper")
    loader = module.__loader__
    module.VALUE = "changed"
    assert importlib.reload(module) is module
    assert module.VALUE == "helper"
    assert module.__loader__ is module.__spec__.loader is not loader


def test_a_spec_that_is_only_looked_at(fresh: Any) -> None:
    fresh("circle")
    spec = importlib.util.find_spec("circle.second")
    assert spec is not None and spec.loader is not None and "circle.second" not in sys.modules
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules["circle.second"] = module
    spec.loader.exec_module(module)
    module.NAME = "other"
    spec.loader.exec_module(module)
    assert module.NAME == "second"


def test_an_edit_between_finding_and_loading(place: Path, fresh: Any) -> None:
    source = place / "between.py"
    source.write_text("VALUE = 1\n")
    importlib.invalidate_caches()
    spec = importlib.util.find_spec("between")
    assert spec is not None and spec.loader is not None
    source.write_text("VALUE = 22\n")
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.VALUE == 22


def test_lazy_loading(fresh: Any) -> None:
    fresh("circle")
    spec = importlib.util.find_spec("helper")
    assert spec is not None and spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["helper"] = module
    spec.loader.exec_module(module)
    assert type(module) is not types.ModuleType
    assert module.VALUE == "helper"
    assert type(module) is types.ModuleType


def test_namespace_packages(fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("part_one", "part_two"):
        monkeypatch.syspath_prepend(str(HERE / part))
    assert (fresh("spread.one").PART, importlib.import_module("spread.two").PART) == (1, 2)
    spread = sys.modules["spread"]
    assert list(spread.__path__) == [str(HERE / "part_two" / "spread"), str(HERE / "part_one" / "spread")]
    assert type(spread.__path__).__name__ == "_NamespacePath"
    assert spread.__file__ is None if hasattr(spread, "__file__") else True
    bare = fresh("no_package")
    assert bare.__spec__.origin is None and bare.__spec__.has_location is False


def test_editable_installs(tmp_path: Path, fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import site

    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "edited.pth").write_text(f"{HERE / 'editable' / 'src'}\n")
    site.addsitedir(str(tmp_path))
    assert str(HERE / "editable" / "src" / "edited_package" / "__init__.py") == fresh("edited_package").PLACE


def test_zipped_packages(tmp_path: Path, fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "zipped.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped_package/__init__.py", "VALUE = 'zipped'\n")
    monkeypatch.syspath_prepend(str(archive))
    package = fresh("zipped_package")
    assert package.VALUE == "zipped"
    assert type(package.__loader__).__name__ == "zipimporter"


def test_compiled_files_without_their_source(place: Path, fresh: Any) -> None:
    import py_compile

    (place / "bare.py").write_text("VALUE = 'compiled'\n")
    py_compile.compile(str(place / "bare.py"), cfile=str(place / "bare.pyc"), doraise=True)
    (place / "bare.py").unlink()
    importlib.invalidate_caches()
    assert fresh("bare").VALUE == "compiled"
    assert type(sys.modules["bare"].__loader__).__name__ == "SourcelessFileLoader"


def test_links(place: Path, fresh: Any) -> None:
    (place / "linked.py").symlink_to(HERE / "helper.py")
    (place / "linked_shop").symlink_to(HERE / "shop")
    importlib.invalidate_caches()
    assert fresh("linked").__file__ == str(place / "linked.py")
    assert fresh("linked_shop.prices").__file__ == str(place / "linked_shop" / "prices.py")


def test_another_place_for_compiled_files(tmp_path: Path, fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    assert fresh("helper").__cached__ == f"{tmp_path}{HERE / 'helper'}{SUFFIX}"


# --- programs ---------------------------------------------------------------------------------------------------------


def test_runpy(fresh: Any, capsys: pytest.CaptureFixture[str]) -> None:
    names = runpy.run_module("helper")
    assert names["VALUE"] == names["__name__"] == "helper"
    runpy.run_module("shop", run_name="__main__", alter_sys=True)
    assert capsys.readouterr().out == "main of shop shop.__main__\n"


def test_another_interpreter() -> None:
    done = subprocess.run([sys.executable, "-m", "shop"], cwd=HERE, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "main of shop shop.__main__\n")


def test_events_of_imports(fresh: Any) -> None:
    heard: list[str] = []
    listening = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if listening and event == "import" and str(arguments[0]).startswith("circle"):
            heard.append(str(arguments[0]))

    sys.addaudithook(hook)
    fresh("circle.first")
    listening = False
    assert heard == ["circle.second"]
