"""--since: the tests that can reach what has changed since a git revision, and no others."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from runner import SUPERVISOR, Project, Result, Run, clean_environment, temporary_mode

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

GIT = ("git", "-c", "user.name=Nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false")


class Repository(Project):
    """A project under git; all that it has is committed."""

    def git(self, *words: str) -> None:
        subprocess.run([*GIT, *words], cwd=self.path, check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=all")

    def ran(self, *words: str) -> list[str]:
        """The node ids of the tests that are run."""
        return [test["nodeid"] for test in self.json("--since", "HEAD", *words).tests]


@pytest.fixture
def shop(tmp_path: Path) -> Repository:
    """Two test files that import a module each, one that imports none."""
    project = Repository(tmp_path)
    project.write(".gitignore", "/.tach/\n/.pytest_cache/\n__pycache__/\n")
    project.write("pytest.ini", "[pytest]\npythonpath = .\ntestpaths = tests\n")
    project.write("cart.py", "def total(): return 3\n")
    project.write("price.py", "def price(): return 3\n")
    project.write("tests/test_cart.py", "import cart\ndef test_one(): assert cart.total()\ndef test_two(): pass\n")
    project.write("tests/test_none.py", "def test_none(): pass\n")
    project.write(
        "tests/test_price.py",
        """
        import price
        import pytest

        @pytest.mark.parametrize("number", range(price.price()))
        def test_price(number):
            pass
        """,
    )
    project.git("init", "--quiet")
    project.commit()
    return project


def said(result: Result) -> list[str]:
    """What tach says of the selection."""
    return [line for line in result.lines if line.startswith("tach: ") and "since" in line]


def test_the_tests_of_importers_are_run_and_the_others_deselected(shop: Repository) -> None:
    shop.write("cart.py", "def total(): return 4\n")
    result = shop.tach("--since", "HEAD").expect(0, passed=2, deselected=4)
    assert said(result) == ["tach: 1 of 3 test files can reach what has changed since HEAD"]
    assert "collected 6 items / 4 deselected / 2 selected" in result.lines


def test_ids_that_are_computed_belong_to_their_file(shop: Repository) -> None:
    shop.write("price.py", "def price(): return 2\n")
    assert shop.ran() == [f"tests/test_price.py::test_price[{number}]" for number in range(2)]


def test_a_revision_may_be_any(shop: Repository) -> None:
    shop.write("cart.py", "def total(): return 4\n")
    shop.commit()
    assert shop.ran() == []
    shop.tach("--tach-since=HEAD~1").expect(0, passed=2, deselected=4)


def test_a_file_that_git_does_not_know_has_changed(shop: Repository) -> None:
    shop.write("tests/test_new.py", "def test_new(): pass\n")
    assert shop.ran() == ["tests/test_new.py::test_new"]


def test_a_conftest_concerns_all_below_it(shop: Repository) -> None:
    shop.write("tests/more/test_more.py", "def test_more(): pass\n")
    shop.commit()
    shop.write("tests/more/conftest.py", "")
    assert shop.ran() == ["tests/more/test_more.py::test_more"]


def test_settings_of_pytest_concern_everything(shop: Repository) -> None:
    shop.write("pytest.ini", "[pytest]\npythonpath = .\n")
    result = shop.tach("--since", "HEAD").expect(0, passed=6)
    assert said(result) == ["tach: all tests are run: pytest.ini has changed since HEAD"]


def test_what_pytest_is_told_to_run_is_not_widened(shop: Repository) -> None:
    shop.write("cart.py", "def total(): return 4\n")
    shop.write("price.py", "def price(): return 2\n")
    assert shop.ran("tests/test_cart.py", "tests/test_none.py") == [
        "tests/test_cart.py::test_one",
        "tests/test_cart.py::test_two",
    ]
    assert shop.ran("-k", "one or none") == ["tests/test_cart.py::test_one"]
    assert shop.ran("tests/test_price.py::test_price[1]") == ["tests/test_price.py::test_price[1]"]


def test_ids_and_rootdir_are_those_without_it(shop: Repository) -> None:
    shop.write("price.py", "def price(): return 2\n")
    run = shop.start("--since", "HEAD", "--list", "../tests", cwd=shop / "tests").finish().expect(0)
    assert [line for line in run.lines if "::" in line] == [f"tests/test_price.py::test_price[{n}]" for n in range(2)]


def test_a_list_of_other_tests_is_not_shown_again(shop: Repository) -> None:
    shop.tach("--list").expect(0)
    shop.write("cart.py", "def total(): return 4\n")
    listed = shop.tach("--list", "--since", "HEAD").expect(0)
    assert [line for line in listed.lines if "::" in line] == [
        "tests/test_cart.py::test_one",
        "tests/test_cart.py::test_two",
    ]
    assert len([line for line in shop.tach("--list").lines if "::" in line]) == 6


def test_no_test_left_is_pytests_no_tests(shop: Repository) -> None:
    result = shop.tach("--since", "HEAD").expect(5, deselected=6)
    assert said(result) == ["tach: no test file of 3 can reach what has changed since HEAD"]
    assert shop.tach("-q", "--since", "HEAD").expect(5).out.count("since") == 0


def test_verbose_tells_why(shop: Repository) -> None:
    shop.write("cart.py", "def total(): return 4\n")
    result = shop.tach("-v", "--since", "HEAD").expect(0)
    assert [line for line in result.lines if line.startswith("tach: ") and "cart" in line] == [
        "tach: tests/test_cart.py: tests/test_cart.py:1: import: cart.py; cart.py has changed"
    ]


def test_files_that_the_analysis_does_not_know_are_run(shop: Repository) -> None:
    shop.write(
        "tests/conftest.py",
        """
        import pytest

        class Text(pytest.File):
            def collect(self):
                yield Line.from_parent(self, name="line")

        class Line(pytest.Item):
            def runtest(self):
                pass

        def pytest_collect_file(parent, file_path):
            if file_path.suffix == ".text":
                return Text.from_parent(parent, path=file_path)
        """,
    )
    shop.write("tests/a.text", "")
    shop.commit()
    assert shop.ran() == ["tests/a.text::line"]


def test_what_cannot_be_parsed_may_import_anything(shop: Repository) -> None:
    shop.write("broken.py", "def (:\n")
    shop.write("tests/test_none.py", "try:\n    import broken\nexcept SyntaxError:\n    pass\ndef test_none(): pass\n")
    shop.commit()
    shop.write("cart.py", "def total(): return 4\n")
    assert shop.ran() == [
        "tests/test_cart.py::test_one",
        "tests/test_cart.py::test_two",
        "tests/test_none.py::test_none",
    ]


def test_a_link_is_affected_with_what_it_leads_to(shop: Repository) -> None:
    shop.write("tests/a/test_real.py", "def test_real(): pass\n")
    (shop / "tests" / "b").mkdir()
    (shop / "tests" / "b" / "test_link.py").symlink_to("../a/test_real.py")
    shop.commit()
    shop.write("tests/a/test_real.py", "def test_changed(): pass\n")
    assert shop.ran() == ["tests/a/test_real.py::test_changed", "tests/b/test_link.py::test_changed"]


def test_plugins_have_seen_all_tests_before(shop: Repository) -> None:
    shop.write(
        "tests/conftest.py",
        """
        def pytest_collection_modifyitems(items):
            del items[len(items) // 2 :]
        """,
    )
    shop.commit()
    shop.write("price.py", "def price(): return 3  # the second half of the tests\n")
    assert shop.ran() == []


@pytest.mark.parametrize("mode", ["isolated", "fork", "shared"])
def test_every_mode_runs_the_same_tests(shop: Repository, mode: str) -> None:
    shop.write("cart.py", "def total(): return 4\n")
    assert shop.ran("--mode", mode) == ["tests/test_cart.py::test_one", "tests/test_cart.py::test_two"]


def test_an_interpreter_that_dies_goes_on_with_the_same_tests(shop: Repository) -> None:
    shop.write("cart.py", "def total(): return 4\n")
    shop.write("tests/test_cart.py", "import cart, os\ndef test_one(): os._exit(3)\ndef test_two(): pass\n")
    report = shop.json("--since", "HEAD", "--mode", "shared")
    assert report.outcomes == {"test_one": "crashed", "test_two": "passed"}, str(report)


def refused(result: Result) -> str:
    result.expect(4)
    assert result.out == ""
    (line,) = result.err.splitlines()
    return line


def test_a_revision_that_is_none(shop: Repository) -> None:
    line = refused(shop.tach("--since", "nowhere"))
    assert line == f"tach: --since: nowhere: no such revision in {shop.path}"
    assert refused(shop.tach("--since=-x")).startswith("tach: --since: -x: no such revision")
    assert refused(shop.tach("--since=")) == "tach: --since : give a git revision, such as HEAD or main"


def test_no_repository(project: Project) -> None:
    project.write("test_it.py", "def test_it(): pass\n")
    line = refused(project.tach("--since", "HEAD", env={"GIT_CEILING_DIRECTORIES": str(project.path.parent)}))
    assert line == f"tach: --since: {project.path} is in no Git repository"


def test_wrong_rules_of_toxicity(shop: Repository) -> None:
    shop.write("tach.toml", "[toxicity]\nmode = 3\n")
    assert refused(shop.tach("--since", "HEAD")).startswith("tach: tach.toml:2:8: toxicity.mode: ")
    shop.tach().expect(0, passed=6)


def test_an_installation_without_the_analyzer(shop: Repository) -> None:
    installed = shop / "installed"
    for name in ("supervisor/tach-supervisor", "zygote/tach-zygote", "zygote/_tach.abi3.so"):
        (installed / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SUPERVISOR.parent.parent / name, installed / name)
    command = [str(installed / "supervisor" / "tach-supervisor"), "--python", shop.python]
    result = Run([*command, "--since", "HEAD"], shop.path, clean_environment()).finish()
    assert "tach-analyzer: not installed; reinstall tach" in refused(result)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_project_that_cannot_be_written(shop: Repository) -> None:
    shop.write("cart.py", "def total(): return 4\n")
    with temporary_mode(shop.path, 0o555):
        assert shop.ran() == ["tests/test_cart.py::test_one", "tests/test_cart.py::test_two"]
