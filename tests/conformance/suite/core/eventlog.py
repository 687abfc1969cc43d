"""Appends what wide fixtures do to the log that the harness compares."""

import contextlib
import os


def note(scope, owner, event, name):
    """Write one line; a single append, so that lines of several processes do not mix."""
    path = os.environ.get("TACH_CONFORMANCE_EVENTS")
    if os.environ.get("TACH_SECOND_OPINION"):
        return  # tests that are run again set their wide fixtures up again; the run itself must not
    if path:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, f"{os.getpid()} {scope} {owner} {event} {name}\n".encode())
        os.close(descriptor)


@contextlib.contextmanager
def lifetime(scope, owner, name):
    """Note the set-up now and the finalisation at the end."""
    note(scope, owner, "setup", name)
    yield name
    note(scope, owner, "finalise", name)
