import factory
from pytest_factoryboy import register


class Book:
    def __init__(self, title):
        self.title = title


@register
class BookFactory(factory.Factory):
    class Meta:
        model = Book

    title = "first"


def test_right(book):
    assert book.title == "first"


def test_factory(book_factory):
    assert book_factory(title="second").title == "second"


def test_wrong(book):
    assert book.title == "second"
