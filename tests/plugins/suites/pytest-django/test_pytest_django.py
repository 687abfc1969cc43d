import pytest
from django.contrib.auth.models import Group
from django.test import TestCase


@pytest.mark.django_db
def test_right():
    Group.objects.create(name="one")
    assert Group.objects.count() == 1


@pytest.mark.django_db
def test_rolled_back():
    assert Group.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_wrong():
    Group.objects.create(name="one")
    assert Group.objects.count() == 2


def test_no_database():
    with pytest.raises(RuntimeError):
        Group.objects.count()


class Old(TestCase):
    @classmethod
    def setUpTestData(cls):
        Group.objects.create(name="of the class")

    def test_data(self):
        self.assertEqual(Group.objects.count(), 1)

    def test_wrong(self):
        self.assertEqual(Group.objects.count(), 3)


def test_client(client, settings):
    settings.DEBUG = False
    assert client.get("/nothing").status_code == 404
