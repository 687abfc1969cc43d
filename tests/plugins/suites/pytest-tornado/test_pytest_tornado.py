import pytest
import tornado.gen
import tornado.web


@pytest.fixture
def app():
    return tornado.web.Application()


@pytest.mark.gen_test
def test_right():
    yield tornado.gen.sleep(0)


@pytest.mark.gen_test
def test_wrong():
    yield tornado.gen.sleep(0)
    assert False
