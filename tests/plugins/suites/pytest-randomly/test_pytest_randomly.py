import random

import pytest


@pytest.mark.parametrize("n", range(4))
def test_seeded(n):
    assert random.random() == random.Random(4).random()


def test_wrong():
    assert random.random() == 2
