"""`meson install`: what is installed works from anywhere, without the source tree's help."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from runner import SUPERVISOR, Project, Run, clean_environment

BUILD_DIRECTORY = SUPERVISOR.parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it is installed: the prefix, below a DESTDIR."""
    if shutil.which("meson") is None or not (BUILD_DIRECTORY / "build.ninja").is_file():
        pytest.skip("needs meson and its build directory")
    destination = tmp_path_factory.mktemp("destination")
    command = ["meson", "install", "-C", str(BUILD_DIRECTORY), "--no-rebuild", "--quiet", "--destdir", str(destination)]
    environment = {name: value for name, value in os.environ.items() if name != "DESTDIR"}
    subprocess.run(command, check=True, env=environment)
    (supervisor,) = destination.rglob("bin/tach-supervisor")
    return supervisor.parent.parent


@pytest.fixture(scope="module", autouse=True)
def installed_files(installed: Path) -> set[str]:
    """What was there before anything ran; Python adds its bytecode."""
    return {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}


def test_it_runs_from_elsewhere(installed: Path, project: Project) -> None:
    project.write("test_it.py", "def test_a(): pass\ndef test_b(): assert [1] == [2]\n")
    command = [str(installed / "bin" / "tach-supervisor"), "--python", sys.executable]
    result = Run(command, project.path, clean_environment()).finish().expect(1, passed=1, failed=1)
    assert "assert [1] == [2]" in result.out


def test_it_uses_its_own_harness(installed: Path, project: Project) -> None:
    project.write("test_it.py", "import sys\ndef test_a(): print(sys.modules['tach_harness'].__file__)\n")
    command = [str(installed / "bin" / "tach-supervisor"), "--python", sys.executable, "-s"]
    result = Run(command, project.path, clean_environment()).finish().expect(0, passed=1)
    assert str(installed) in result.out


def test_a_prefix_that_was_moved_works(installed: Path, project: Project) -> None:
    shutil.copytree(installed, project / "moved", symlinks=True)
    project.write("tests/test_it.py", "def test_a(): pass\n")
    command = [str(project / "moved" / "bin" / "tach-supervisor"), "--python", sys.executable]
    Run(command, project / "tests", clean_environment()).finish().expect(0, passed=1)


def test_a_symbolic_link_to_it_works(installed: Path, project: Project) -> None:
    (project / "tach").symlink_to(installed / "bin" / "tach-supervisor")
    project.write("test_it.py", "def test_a(): pass\n")
    Run([str(project / "tach"), "--python", sys.executable], project.path, clean_environment()).finish().expect(
        0, passed=1
    )


@pytest.mark.parametrize("program", ["supervisor", "analyzer", "compiler"])
def test_the_man_page_is_there(installed: Path, program: str) -> None:
    (page,) = installed.rglob(f"man/man1/tach-{program}.1*")
    if page.suffix == ".1":
        assert page.read_text().startswith(f".TH TACH\\-{program.upper()} 1")


def test_the_analyzer_runs_from_elsewhere(installed: Path, project: Project) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    command = [str(installed / "bin" / "tach-analyzer"), "--format", "json"]
    result = Run(command, project.path, clean_environment()).finish().expect(0)
    schema = json.loads((installed / "share" / "tach" / "analysis.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(result.out), schema)


def test_the_compiler_runs_from_elsewhere(installed: Path, project: Project) -> None:
    source = project.write("lib.py", "x = 1\n")
    (project / "imports").write_bytes(b"tach imports 1\n" + b"p\0" + os.fsencode(source) + b"\0lib\0")
    words = ["--imports", "imports", "-o", "image", "--python", sys.executable, "--format", "json"]
    result = Run([str(installed / "bin" / "tach-compiler"), *words], project.path, clean_environment()).finish()
    (module,) = json.loads(result.expect(0).out)["modules"]
    assert (module["name"], module["state"]) == ("lib", "compiled")


def test_what_asks_the_analyzer_finds_the_installed_one(installed: Path, project: Project) -> None:
    project.write("test_it.py", "def test_a(): pass\n")
    subprocess.run(["git", "init", "--quiet"], cwd=project.path, check=True)
    words = ["-c", "user.name=a", "-c", "user.email=a", "commit", "--quiet", "--allow-empty", "-m", "first"]
    subprocess.run(["git", *words], cwd=project.path, check=True)
    command = [str(installed / "bin" / "tach-supervisor"), "--python", sys.executable, "--since", "HEAD"]
    Run(command, project.path, clean_environment()).finish().expect(0, passed=1)


def test_nothing_is_installed_twice_or_elsewhere(installed_files: set[str]) -> None:
    names = installed_files
    assert {name for name in names if name.startswith("bin/")} == {
        "bin/tach-analyzer",
        "bin/tach-compiler",
        "bin/tach-supervisor",
    }
    assert {name for name in names if name.endswith(".schema.json")} == {
        "share/tach/analysis.schema.json",
        "share/tach/report.schema.json",
    }
    assert len([name for name in names if name.endswith("/tach-zygote")]) == 1
    assert len([name for name in names if name.endswith("/_tach.abi3.so")]) == 1
    assert [name for name in names if "__pycache__" in name or name.endswith((".a", ".h"))] == []
    top = {name.split("/")[0] for name in names}
    assert top <= {"bin", "lib", "libexec", "share"}


def test_a_broken_installation_says_so(installed: Path, project: Project) -> None:
    (project / "bin").mkdir()
    shutil.copy(installed / "bin" / "tach-supervisor", project / "bin" / "tach-supervisor")
    result = Run([str(project / "bin" / "tach-supervisor")], project.path, clean_environment()).finish()
    assert result.code == 3
    assert "tach is not completely installed; reinstall it" in result.err
