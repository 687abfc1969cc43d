def test_right(shared_datadir, datadir):
    assert (shared_datadir / "hello.txt").read_text() == "hello"
    (shared_datadir / "hello.txt").write_text("changed")


def test_again(shared_datadir):
    assert (shared_datadir / "hello.txt").read_text() == "hello"


def test_wrong(datadir):
    assert (datadir / "own.txt").read_text() == "other"
