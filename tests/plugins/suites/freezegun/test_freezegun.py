import datetime

from freezegun import freeze_time


@freeze_time("2020-01-02")
def test_right():
    assert datetime.date.today() == datetime.date(2020, 1, 2)


def test_put_back():
    assert datetime.date.today().year > 2020


@freeze_time("2020-01-02")
def test_wrong():
    assert datetime.date.today().year == 2021
