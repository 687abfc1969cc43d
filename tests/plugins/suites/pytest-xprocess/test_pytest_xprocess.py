import sys

import pytest
from xprocess import ProcessStarter


@pytest.fixture(scope="module")
def server(xprocess):
    class Starter(ProcessStarter):
        pattern = "ready"
        args = [sys.executable, "-uc", "import time; print('ready'); time.sleep(60)"]
        timeout = 30

    xprocess.ensure("server", Starter)
    yield xprocess.getinfo("server").pid
    xprocess.getinfo("server").terminate()


def test_right(server):
    assert server > 1


def test_wrong(server):
    assert server == 1


def test_plain():
    pass
