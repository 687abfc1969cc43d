"""An open file in a module fixture: its offset belongs to the kernel."""

import pytest


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    path = tmp_path_factory.mktemp("lines") / "lines"
    path.write_text("".join(f"{number}\n" for number in range(6)))
    with open(path) as file:
        yield file


@pytest.mark.parametrize("number", range(4))
def test_reads_on(lines, number):
    assert lines.readline() == f"{number}\n"


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    with open(tmp_path_factory.mktemp("journal") / "journal", "w+") as file:
        yield file


@pytest.mark.parametrize("number", range(3))
def test_appends(journal, number):
    journal.write(f"{number}")
    journal.flush()
    journal.seek(0)
    assert journal.read() == "012"[: number + 1]
