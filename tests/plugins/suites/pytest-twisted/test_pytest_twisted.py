import pytest_twisted
from twisted.internet import defer, reactor, task


@pytest_twisted.inlineCallbacks
def test_right():
    yield task.deferLater(reactor, 0, lambda: None)


@pytest_twisted.inlineCallbacks
def test_wrong():
    assert (yield defer.succeed(1)) == 2


def test_plain():
    pass
