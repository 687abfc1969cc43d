import pytest


@pytest.mark.parametrize("number", range(20))
def test_number(number):
    assert number * 2 == number + number


def test_wide(settings_of_suite, numbers):
    assert settings_of_suite["name"] == "neutral" and len(numbers) == 5


def test_wrong(numbers):
    assert numbers == [1, 2]


def test_files(tmp_path):
    (tmp_path / "file").write_text("text")
    assert (tmp_path / "file").read_text() == "text"


def test_output(capsys):
    print("said")
    assert capsys.readouterr().out == "said\n"


@pytest.mark.skip(reason="not now")
def test_skipped():
    pass


@pytest.mark.xfail(reason="known", strict=True)
def test_known():
    assert False
