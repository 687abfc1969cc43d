"""A conftest that cannot be imported."""

raise RuntimeError("in conftest")
