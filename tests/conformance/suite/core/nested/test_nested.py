"""Tests below a conftest with hooks."""

import logging


def test_overridden(overridden):
    assert overridden == "root/nested"


def test_marked_by_hook():
    assert 0


def test_refused():
    raise AssertionError("must not run")


test_refused.refused = True


def test_sections_in_failure():
    logging.getLogger("conformance").info("not shown")
    print("output beside the notes")
    raise AssertionError("with notes")


def test_moved_to_front():
    pass
