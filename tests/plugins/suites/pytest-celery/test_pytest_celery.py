import celery
import pytest


@pytest.fixture(scope="session")
def celery_config():
    return {"broker_url": "memory://", "result_backend": "cache+memory://", "task_always_eager": True}


def test_right(celery_app):
    @celery_app.task
    def double(number):
        return 2 * number

    assert double.delay(2).get(timeout=10) == 4


def test_wrong(celery_app):
    assert isinstance(celery_app, celery.Celery) and celery_app.main == "other"


def test_plain():
    pass
