"""Randomness: different in each test, repeatable by --seed, and left alone where the suite seeds it itself."""

from __future__ import annotations

import pytest
from runner import Project

DRAWS = """
import random

def draw(name):
    with open(f"drawn-{name}", "w") as file:
        file.write(str(random.random()))

def test_a(): draw("a")
def test_b(): draw("b")
"""


def drawn(project: Project) -> tuple[str, str]:
    return (project / "drawn-a").read_text(), (project / "drawn-b").read_text()


@pytest.mark.parametrize("mode", ["fork", "shared"])
def test_seed_repeats_the_numbers(project: Project, mode: str) -> None:
    project.write("test_it.py", DRAWS)
    seen = []
    for seed in ("7", "7", "8"):
        project.tach("--seed", seed, "--mode", mode).expect(0, passed=2)
        seen.append(drawn(project))
    assert seen[0] == seen[1]
    assert seen[2][0] != seen[0][0]


def test_two_tests_differ(project: Project) -> None:
    project.write("test_it.py", DRAWS)
    project.tach().expect(0, passed=2)
    first, second = drawn(project)
    assert first != second


def test_a_test_draws_the_same_whatever_runs_beside_it(project: Project) -> None:
    project.write("test_it.py", DRAWS)
    project.tach("--seed", "7").expect(0, passed=2)
    both = drawn(project)
    (project / "drawn-b").unlink()
    project.tach("--seed", "7", "-k", "test_b", "-n", "1").expect(0, passed=1, deselected=1)
    assert (project / "drawn-b").read_text() == both[1]


def test_the_printed_seed_repeats_a_run(project: Project) -> None:
    project.write("test_it.py", DRAWS)
    seed = project.json().expect(0).data["seed"]
    first = drawn(project)
    project.tach("--seed", str(seed)).expect(0)
    assert drawn(project) == first


def test_runs_differ(project: Project) -> None:
    project.write("test_it.py", DRAWS)
    seeds = {project.json().data["seed"] for _ in range(3)}
    assert len(seeds) > 1


@pytest.mark.parametrize("where", ["import", "session fixture", "module fixture", "function fixture"])
def test_a_seeding_suite_is_left_alone(project: Project, where: str) -> None:
    seeding = "import random, pytest\nEXPECTED = random.Random(42).random()\n"
    if where == "import":
        seeding += "random.seed(42)\n"
    else:
        scope = where.partition(" ")[0]
        seeding += f"@pytest.fixture(scope='{scope}', autouse=True)\ndef seed(): random.seed(42)\n"
    project.write("test_it.py", seeding + "def test_a(): assert random.random() == EXPECTED\n")
    project.tach("--strict-isolation").expect(0, passed=1)


@pytest.mark.parametrize("mode", ["fork", "shared"])
def test_what_the_start_needs_is_not_inherited(project: Project, mode: str) -> None:
    project.write(
        "test_it.py",
        """
        import os, subprocess, sys
        NAMES = ("PYTHONHASHSEED", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")

        def test_here(): assert [name for name in NAMES if name in os.environ] == []

        def test_in_a_child():
            env = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
            assert [line for line in env.splitlines() if line.startswith(NAMES)] == []
        """,
    )
    project.tach("--mode", mode).expect(0, passed=2)


def test_a_hash_seed_of_the_user_is_kept(project: Project) -> None:
    project.write(
        "test_it.py",
        "import os\ndef test_a():\n    assert os.environ['PYTHONHASHSEED'] == '5'\n    print(hash('x'))\n",
    )
    seen = {project.json(env={"PYTHONHASHSEED": "5"}).expect(0, passed=1).test("::test_a")["stdout"] for _ in range(2)}
    assert len(seen) == 1


def test_temporary_names_differ(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import os, tempfile
        import pytest
        tempfile.mktemp()

        @pytest.mark.parametrize("number", range(10))
        def test_it(number):
            with open("names", "a") as file: file.write(os.path.basename(tempfile.mktemp()) + "\\n")
        """,
    )
    project.tach("-n", "2").expect(0, passed=10)
    assert len(set(project.log("names"))) == 10


def test_entropy_of_the_system_differs(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import os, secrets, ssl, uuid
        import pytest
        ssl.RAND_bytes(8)

        @pytest.mark.parametrize("number", range(5))
        def test_it(number):
            with open("drawn", "a") as file:
                for value in (ssl.RAND_bytes(8).hex(), secrets.token_hex(8), uuid.uuid4().hex, os.urandom(8).hex()):
                    file.write(value + "\\n")
        """,
    )
    project.tach("-n", "2").expect(0, passed=5)
    assert len(set(project.log("drawn"))) == 20
