"""Wide fixtures whose every set-up and finalisation is logged: each must happen exactly once."""

import subprocess
import sys

import pytest
from eventlog import lifetime


@pytest.fixture(scope="session")
def session_resource():
    with lifetime("session", "session", "session_resource") as value:
        yield value


@pytest.fixture(scope="session")
def session_on_session(session_resource):
    with lifetime("session", "session", "session_on_session") as value:
        yield value


@pytest.fixture(scope="package")
def package_resource(request):
    with lifetime("package", "package", "package_resource") as value:
        yield value


@pytest.fixture(scope="session", params=["s1", "s2"])
def session_value(request):
    with lifetime("session", "session_value", request.param):
        yield request.param


CHILD = "import sys\nfor number, line in enumerate(sys.stdin, 1): print(number, flush=True)"


@pytest.fixture(scope="session")
def counting_child():
    argv = [sys.executable, "-S", "-c", CHILD]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask():
        child.stdin.write("next\n")
        child.stdin.flush()
        return int(child.stdout.readline())

    with lifetime("session", "counting_child", "counting_child"):
        yield ask
        child.communicate()
