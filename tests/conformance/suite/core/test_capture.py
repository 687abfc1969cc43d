"""Output: captured by pytest and by the tests, of Python, of descriptors, of subprocesses."""

import logging
import os
import subprocess
import sys

import pytest


def test_prints():
    print("to stdout")
    print("to stderr", file=sys.stderr)


def test_prints_and_fails():
    print("before the failure")
    sys.stderr.write("without newline")
    raise AssertionError("after output")


def test_subprocess():
    subprocess.run([sys.executable, "-S", "-c", "print('from a child')"], check=True)


def test_subprocess_and_fails():
    subprocess.run(["sh", "-c", "echo out; echo err >&2"], check=True)
    raise AssertionError("after a child")


def test_descriptor():
    os.write(1, b"straight to 1\n")
    os.write(2, b"straight to 2 \xff\n")


def test_much_output():
    for _ in range(2000):
        print("x" * 99)


def test_unusual_characters():
    print("grüße \u65e5\u672c \x1b[31mred\x1b[0m \x00 \x08 \ud800".encode("utf-8", "replace").decode())


def test_capsys(capsys):
    print("hidden")
    assert capsys.readouterr().out == "hidden\n"
    print("left over")


def test_capsys_disabled(capsys):
    with capsys.disabled():
        pass
    assert capsys.readouterr() == ("", "")


def test_capfd(capfd):
    os.system("echo through the shell")
    assert capfd.readouterr().out == "through the shell\n"


def test_capfd_fails(capfd):
    print("what was captured")
    assert capfd.readouterr().out == "something else"


def test_capsysbinary(capsysbinary):
    sys.stdout.buffer.write(b"\x00\x01")
    assert capsysbinary.readouterr().out == b"\x00\x01"


def test_caplog(caplog):
    logging.getLogger("conformance").warning("a %s", "record")
    assert caplog.record_tuples == [("conformance", logging.WARNING, "a record")]


def test_caplog_level(caplog):
    with caplog.at_level(logging.DEBUG, logger="conformance"):
        logging.getLogger("conformance").debug("seen")
    assert caplog.messages == ["seen"]
    caplog.clear()
    assert not caplog.records


def test_caplog_level_is_reset(caplog):
    logging.getLogger("conformance").debug("not seen")
    assert caplog.messages == []


def test_log_and_fail():
    logging.getLogger("conformance").error("in the report")
    raise AssertionError("after a log record")


@pytest.fixture
def noisy():
    print("set-up speaks")
    logging.getLogger("conformance").warning("set-up logs")
    yield
    print("teardown speaks")


def test_phases(noisy):
    print("call speaks")


def test_phases_and_fails(noisy):
    print("call speaks")
    raise AssertionError("between two phases")


@pytest.fixture(scope="module")
def noisy_module():
    print("module set-up speaks")
    yield
    print("module teardown speaks")


def test_first_of_module(noisy_module):
    print("first")


def test_second_of_module(noisy_module):
    print("second")
