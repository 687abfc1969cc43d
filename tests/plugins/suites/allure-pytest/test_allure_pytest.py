import allure
import pytest


@pytest.fixture(scope="session")
def wide():
    yield 1


@allure.title("The right one")
@allure.feature("features")
def test_right(wide):
    with allure.step("a step"):
        allure.attach("text", name="attached")


def test_wrong(wide):
    with allure.step("a wrong step"):
        assert wide == 2
