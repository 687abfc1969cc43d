"""Temporary directories never collide; one numbered basetemp per run; pytest's retention rules hold."""

from __future__ import annotations

import pytest
from runner import Project


def test_directories_never_collide(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.mark.parametrize("number", range(20))
        def test_it(number, tmp_path, tmp_path_factory):
            assert list(tmp_path.iterdir()) == []
            (tmp_path / "file").write_text(str(number))
            other = tmp_path_factory.mktemp("other")
            with open("names", "a") as file: file.write(f"{tmp_path}\\n{other}\\n")
        """,
    )
    project.write("test_same.py", (project / "test_it.py").read_text())
    project.tach("-n", "4").expect(0, passed=40)
    assert len(set(project.log("names"))) == 80


@pytest.mark.parametrize("workers", ["1", "2"])
def test_one_numbered_basetemp_per_run(project: Project, workers: str) -> None:
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_it(number, tmp_path):
            assert tmp_path.is_dir()
            with open("names", "a") as file: file.write(f"{tmp_path}\\n")
        """,
    )
    (project / "tmp").mkdir()
    for _ in range(5):
        project.tach("-n", workers, env={"TMPDIR": str(project / "tmp")}).expect(0, passed=4)
    numbered = {name[len(str(project / "tmp")) :].split("/")[2] for name in project.log("names")}
    assert numbered == {f"pytest-{number}" for number in range(5)}
    (user,) = (project / "tmp").iterdir()
    kept = {entry.name for entry in user.iterdir() if not entry.is_symlink()}
    assert kept == {"pytest-2", "pytest-3", "pytest-4"}


def test_a_given_basetemp(project: Project) -> None:
    project.write("test_it.py", "def test_a(tmp_path): (tmp_path / 'file').write_text('x')\n")
    for _ in range(2):
        project.tach("--basetemp=here", "-n", "1").expect(0, passed=1)
    assert [str(f.relative_to(project / "here")).split("/")[-2:] for f in (project / "here").rglob("file")] == [
        ["test_a0", "file"]
    ]


@pytest.mark.parametrize("policy", ["all", "failed", "none"])
def test_retention_policies(project: Project, policy: str) -> None:
    project.write("pytest.ini", f"[pytest]\ntmp_path_retention_policy = {policy}\n")
    project.write(
        "test_it.py",
        "def test_passes(tmp_path): (tmp_path / 'file').touch()\n"
        "def test_fails(tmp_path): (tmp_path / 'file').touch(); assert False\n",
    )
    kept = []
    for run, name in ((project.pytest, "theirs"), (project.tach, "ours")):
        (project / name).mkdir()
        run("-p", "no:cacheprovider", env={"TMPDIR": str(project / name)}).expect(1, passed=1, failed=1)
        kept.append(sorted({file.parent.name for file in (project / name).rglob("file")}))
    assert kept[1] == kept[0]


def test_a_wide_directory_is_shared_by_its_users(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.fixture(scope="session")
        def shared(tmp_path_factory):
            directory = tmp_path_factory.mktemp("shared")
            (directory / "file").write_text("here")
            return directory

        @pytest.mark.parametrize("number", range(6))
        def test_it(shared, number): assert (shared / "file").read_text() == "here"
        """,
    )
    project.tach("-n", "3").expect(0, passed=6)


def test_the_name_is_pytests_with_one_worker(project: Project) -> None:
    project.write("test_it.py", "def test_a(tmp_path): print(tmp_path.parent.name, tmp_path.name)\n")
    (project / "tmp").mkdir()
    report = project.json("-n", "1", env={"TMPDIR": str(project / "tmp")}).expect(0, passed=1)
    assert report.test("::test_a")["stdout"] == "pytest-0 test_a0\n"
