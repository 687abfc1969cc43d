"""An unknown mark."""

import pytest


@pytest.mark.no_such_mark
def test_marked():
    pass
