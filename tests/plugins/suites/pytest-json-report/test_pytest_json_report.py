def test_right(json_metadata):
    json_metadata["note"] = "by the test"


def test_wrong(json_metadata):
    json_metadata["note"] = "by the other"
    assert False
