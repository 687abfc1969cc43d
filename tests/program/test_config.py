"""tach.toml and [tool.tach]: what they set, and what a mistake in them says."""

from __future__ import annotations

import sys

import pytest
from runner import Project, clean_environment


@pytest.fixture(autouse=True)
def suite(project: Project) -> None:
    project.write("test_it.py", "def test_a(): pass\ndef test_b(): pass\n")


def test_tach_toml(project: Project) -> None:
    project.write("tach.toml", "seed = 11\nworkers = 1\nmode = 'shared'\nargs = ['-k', 'test_b']\n")
    report = project.json().expect(0, passed=1, deselected=1)
    assert (report.data["seed"], report.data["workers"], report.tests[0]["mode"]) == (11, 1, "shared")


def test_pyproject_toml(project: Project) -> None:
    project.write("pyproject.toml", "[tool.tach]\nseed = 12\n[tool.tach.second_opinion]\nenabled = false\n")
    assert project.json().expect(0, passed=2).data["seed"] == 12


def test_tach_toml_wins_and_nothing_is_merged(project: Project) -> None:
    project.write("pyproject.toml", "[tool.tach]\nseed = 12\nworkers = 1\n")
    project.write("tach.toml", "seed = 11\n")
    report = project.json("-n", "2").expect(0)
    assert report.data["seed"] == 11


def test_the_analyzers_table_is_left_to_it(project: Project) -> None:
    project.write("tach.toml", "seed = 11\n[toxicity]\nmode = 'strict'\n[[toxicity.rule]]\nanything = 1\n")
    assert project.json().expect(0, passed=2).data["seed"] == 11


def test_it_is_found_from_a_directory_below(project: Project) -> None:
    project.write("tach.toml", "seed = 11\n")
    project.write("below/test_it.py", "def test_a(): pass\n")
    report = project.json(cwd=project / "below").expect(0, passed=1)
    assert report.data["seed"] == 11


def test_the_command_line_wins(project: Project) -> None:
    project.write("tach.toml", "seed = 11\nworkers = 1\n")
    data = project.json("--seed", "13", "-n", "2").expect(0).data
    assert (data["seed"], data["workers"]) == (13, 2)


def test_another_file(project: Project) -> None:
    project.write("tach.toml", "nonsense = 1\n")
    project.write("other/settings.toml", "seed = 14\n")
    assert project.json("--config", "other/settings.toml").expect(0).data["seed"] == 14


def test_the_interpreter_is_relative_to_the_file(project: Project) -> None:
    (project / "env").mkdir()
    (project / "env" / "python").symlink_to(sys.executable)
    project.write("tach.toml", "python = 'env/python'\n")
    from runner import SUPERVISOR, Run

    (project / "below").mkdir()
    project.write("below/test_it.py", "def test_a(): pass\n")
    # The link has no packages of its own: what it is run by is what counts here.
    run = Run([str(SUPERVISOR), "--format", "json"], project / "below", clean_environment())
    result = run.finish()
    assert f"{project / 'env' / 'python'}" in result.out + result.err


def test_verbose_prints_what_is_not_at_its_default(project: Project) -> None:
    project.write("tach.toml", "seed = 11\n")
    result = project.tach("-v").expect(0)
    told = [line for line in result.lines if line.startswith("tach: ") and "tach.toml" in line]
    assert len(told) == 1
    assert "seed" in told[0]
    assert "11" in told[0]


MISTAKES = [
    ("wrokers = 4\n", "tach.toml:1:1: wrokers: unknown key, did you mean workers?"),
    (
        "# first\nworkers = 'four'\n",
        'tach.toml:2:11: workers: is "four" (a string), expected a whole number from 0 to 1024, "auto" or "logical"',
    ),
    (
        "[second_opinion]\nbudget_s = '30'\n",
        'tach.toml:2:12: second_opinion.budget_s: is "30" (a string), expected a number of seconds from 0 to 86400',
    ),
    (
        "[second_opinion]\nbugdet_s = 30\n",
        "tach.toml:2:1: second_opinion.bugdet_s: unknown key, did you mean budget_s?",
    ),
    ("strict_isolation = 1\n", "tach.toml:1:20: strict_isolation: is 1"),
    ("mode = 'warp'\n", 'tach.toml:1:8: mode: is "warp"'),
    ("args = ['-k', 3]\n", "tach.toml:1:15: args"),
    ("args = ['--seed', '3']\n", "tach.toml:1:"),
    ("seed = -1\n", "tach.toml:1:8: seed: is -1"),
    ("seed = \n", "tach.toml:1:"),
    ("[unknown]\nkey = 1\n", "tach.toml:1:"),
]


@pytest.mark.parametrize(("content", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_stops_the_run_with_its_place(project: Project, content: str, message: str) -> None:
    project.write("tach.toml", content)
    result = project.tach().expect(4)
    assert result.out == ""
    assert len(result.err.splitlines()) == 1, result
    assert message in result.err


def test_a_mistake_in_pyproject(project: Project) -> None:
    project.write("pyproject.toml", "[project]\nname = 'x'\n[tool.tach]\nseed = 'x'\n")
    assert "pyproject.toml:4:8: tool.tach.seed" in project.tach().expect(4).err


def test_a_pyproject_without_our_table_is_none_of_ours(project: Project) -> None:
    project.write("pyproject.toml", "[tool.other]\nworkers = 'four'\n")
    project.tach().expect(0, passed=2)


def test_a_config_that_does_not_exist(project: Project) -> None:
    result = project.tach("--config", "missing.toml").expect(4)
    assert "missing.toml" in result.err


def test_an_option_without_its_value(project: Project) -> None:
    result = project.tach("--seed", "many").expect(4)
    assert len(result.err.splitlines()) == 1
    assert "--seed" in result.err
    assert "many" in result.err


OTHERS = "exclude = ['docs']\nsource_roots = ['src']\n[[modules]]\npath = 'app'\ndepends_on = []\n"


def test_the_file_of_another_tool_of_that_name(project: Project) -> None:
    """It checks the boundaries between modules; its users must be able to run their tests."""
    project.write("tach.toml", OTHERS)
    project.write("pyproject.toml", "[tool.tach]\nseed = 12\n")
    result = project.tach().expect(0, passed=2)
    notes = [line for line in result.lines if "another tool" in line]
    assert notes == [] and "seed 12" in result.out  # ours was found, and it says nothing of the other
    (project / "pyproject.toml").unlink()
    result = project.tach().expect(0, passed=2)
    (note,) = [line for line in result.lines if "another tool" in line]
    assert note.endswith(
        "tach.toml: left alone, since it is for another tool of that name: exclude, modules, source_roots"
    )


def test_keys_of_both_tools_in_one_file(project: Project) -> None:
    project.write("tach.toml", "seed = 11\n" + OTHERS)
    assert project.json().expect(0, passed=2).data["seed"] == 11


def test_a_slip_beside_keys_of_the_other_tool_is_still_one(project: Project) -> None:
    project.write("tach.toml", "sead = 11\n" + OTHERS)
    assert "tach.toml:1:1: sead: unknown key, did you mean seed?" in project.tach().expect(4).err


def test_config_names_a_file_of_the_other_tool(project: Project) -> None:
    project.write("tach.toml", OTHERS)
    assert "--config tach.toml: it is the file of another tool" in project.tach("--config", "tach.toml").expect(4).err


def test_what_lies_in_the_home_directory_is_of_no_project(project: Project) -> None:
    project.write("tach.toml", "nonsense = 1\n")
    project.write("work/test_it.py", "def test_a(): pass\n")
    project.tach(cwd=project / "work", env={"HOME": str(project.path)}).expect(0, passed=1)


def test_a_working_copy_is_the_whole_project(project: Project) -> None:
    project.write("tach.toml", "nonsense = 1\n")
    project.write("work/.git/HEAD", "ref: refs/heads/main\n")
    project.write("work/tests/test_it.py", "def test_a(): pass\n")
    project.tach(cwd=project / "work/tests").expect(0, passed=1)


def test_what_is_learned_belongs_to_the_project(project: Project) -> None:
    """The image of imports is looked for upwards; a .tach that lies further up by chance gets nothing."""
    (project / ".tach/cache").mkdir(parents=True)
    project.write("work/.git/HEAD", "ref: refs/heads/main\n")
    project.write("work/test_it.py", "import json\ndef test_a(): pass\n")
    project.tach(cwd=project / "work").expect(0, passed=1)
    assert list((project / ".tach/cache").iterdir()) == []
    assert {"memory.json", "cache"} <= {path.name for path in (project / "work/.tach").iterdir()}


def test_the_home_directory_gets_no_memory_of_its_projects(project: Project) -> None:
    """pytest's rootdir is what the arguments have in common."""
    project.write("one/test_one.py", "def test_a(): pass\n")
    project.write("two/test_two.py", "def test_a(): pass\n")
    home = {"HOME": str(project.path)}
    project.tach(".", "../two", cwd=project / "one", env=home).expect(0, passed=2)
    assert not (project / ".tach").exists()
    assert (project / "one/.tach/memory.json").is_file()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--enigne", "fork"), "tach: --enigne: did you mean --engine?"),
        (("--worker=2",), "tach: --worker: did you mean --workers?"),
        (("docter",), "tach: docter: did you mean the subcommand doctor?"),
    ],
)
def test_a_mistyped_word_that_pytest_refuses(project: Project, words: tuple[str, ...], hint: str) -> None:
    result = project.tach(*words).expect(4)
    assert hint in (result.out + result.err).splitlines()


def test_no_hint_where_pytest_is_content(project: Project) -> None:
    project.write("conftest.py", "def pytest_addoption(parser): parser.addoption('--worker', action='store_true')\n")
    assert "did you mean" not in str(project.tach("--worker").expect(0, passed=2))
