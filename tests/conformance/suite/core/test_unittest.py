"""unittest.TestCase under pytest: fixtures of each level, skips, expected failures, subtests."""

import unittest

import pytest
from eventlog import note

OWNER = "test_unittest"


def setUpModule():
    note("module", OWNER, "setup", "setUpModule")


def tearDownModule():
    note("module", OWNER, "finalise", "setUpModule")


class TestLevels(unittest.TestCase):
    shared = None

    @classmethod
    def setUpClass(cls):
        note("class", f"{OWNER}.TestLevels", "setup", "setUpClass")
        cls.shared = ["class"]

    @classmethod
    def tearDownClass(cls):
        note("class", f"{OWNER}.TestLevels", "finalise", "setUpClass")

    def setUp(self):
        self.own = ["method"]
        self.addCleanup(self.own.clear)

    def tearDown(self):
        print("tearDown prints")

    def test_both(self):
        self.assertEqual((self.shared, self.own), (["class"], ["method"]))

    def test_fails(self):
        self.assertEqual({"a": 1}, {"a": 2}, "with a message")

    def test_raises(self):
        with self.assertRaises(ValueError):
            raise KeyError("other")

    @unittest.skip("a decorator")
    def test_skipped(self):
        raise AssertionError("must not run")

    def test_skips_itself(self):
        self.skipTest("inside")

    @unittest.skipIf(True, "a condition")
    def test_skip_if(self):
        raise AssertionError("must not run")

    @unittest.expectedFailure
    def test_expected_failure(self):
        self.fail("as expected")

    @unittest.expectedFailure
    def test_unexpected_success(self):
        pass

    @pytest.mark.xfail(reason="pytest's own mark")
    def test_marked(self):
        self.fail("marked")


class TestSubtests(unittest.TestCase):
    def test_all_pass(self):
        for number in range(3):
            with self.subTest(number=number):
                self.assertLess(number, 3)

    def test_some_fail(self):
        for number in range(4):
            with self.subTest("message", number=number):
                self.assertNotEqual(number % 2, 1)

    def test_some_skip(self):
        for number in range(3):
            with self.subTest(number=number):
                if number == 1:
                    self.skipTest("only one")

    def test_after_subtests(self):
        with self.subTest():
            pass
        self.fail("after the subtests")


@unittest.skip("the whole class")
class TestSkippedClass(unittest.TestCase):
    def test_one(self):
        raise AssertionError("must not run")


class TestSkipInSetUpClass(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise unittest.SkipTest("set-up says no")

    def test_one(self):
        raise AssertionError("must not run")

    def test_two(self):
        raise AssertionError("must not run")


class TestErrorInSetUpClass(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise RuntimeError("no class")

    def test_one(self):
        raise AssertionError("must not run")

    def test_two(self):
        raise AssertionError("must not run")


class TestErrorInTearDownClass(unittest.TestCase):
    @classmethod
    def tearDownClass(cls):
        raise RuntimeError("the end of the class")

    def test_one(self):
        pass

    def test_two(self):
        pass


class TestErrors(unittest.TestCase):
    def setUp(self):
        if "setup" in self.id():
            raise RuntimeError("setUp")

    def tearDown(self):
        if "teardown" in self.id():
            raise RuntimeError("tearDown")

    def test_setup(self):
        raise AssertionError("must not run")

    def test_teardown(self):
        pass

    def test_cleanup(self):
        self.addCleanup(deliberate)


def deliberate():
    raise RuntimeError("cleanup")


class TestWithFixture(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def prepare(self, tmp_path, session_resource):
        self.directory = tmp_path

    def test_directory(self):
        self.assertTrue(self.directory.is_dir())


class TestAsync(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.value = 1

    async def test_awaits(self):
        self.assertEqual(self.value, 1)

    async def test_fails(self):
        self.assertEqual(self.value, 2)
