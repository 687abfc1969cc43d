import pytest


@pytest.fixture(scope="session", autouse=True)
def note(metadata):
    metadata["note"] = "by the suite"


def test_right(metadata):
    assert metadata["note"] == "by the suite" and "Python" in metadata


def test_wrong(metadata):
    assert metadata["note"] == "by another"
