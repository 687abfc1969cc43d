"""Ignored by a hook."""

raise RuntimeError("must not be imported")
