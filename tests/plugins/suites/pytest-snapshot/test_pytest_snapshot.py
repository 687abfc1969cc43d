def test_right(snapshot):
    snapshot.snapshot_dir = "kept"
    snapshot.assert_match("text", "right.txt")


def test_wrong(snapshot):
    snapshot.snapshot_dir = "kept"
    snapshot.assert_match("other", "right.txt")
