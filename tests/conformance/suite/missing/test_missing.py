"""A fixture that does not exist."""


def test_before():
    pass


def test_missing(no_such_fixture):
    pass


class TestMissing:
    def test_one(self, neither_this):
        pass


def test_after():
    pass
