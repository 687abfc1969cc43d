import unittest


class TestOne:
    def test_a(self):
        assert self

    def test_b(self):
        assert "b" in "abc"


class Old(unittest.TestCase):
    def setUp(self):
        self.value = 1

    def test_equal(self):
        self.assertEqual(self.value, 1)

    def test_wrong(self):
        self.assertEqual(self.value, 2)
