import datetime
import time

import pytest


def test_right(time_machine):
    time_machine.move_to(datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc), tick=False)
    assert time.time() == 1577923200


def test_put_back():
    assert datetime.date.today().year > 2020


@pytest.mark.time_machine(datetime.date(2020, 1, 2))
def test_wrong():
    assert datetime.date.today().year == 2021
