import os
import threading
import unittest
from unittest import TestCase


def setup_module(module):
    threading.Thread().start()


def setup_function():
    threading.Thread().start()


class TestOld:
    def setup_class(cls):
        cls.pid = os.fork()

    def setup_method(self):
        self.pid = os.fork()

    def test_it(self, narrow):
        os.pipe()


class TestCases(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.start()

    @classmethod
    def start(cls):
        cls.thread = threading.Thread()

    def setUp(self):
        self.thread = threading.Thread()

    def test_it(self): ...


class Base(unittest.TestCase):
    def tearDownClass(cls):
        os.fork()
