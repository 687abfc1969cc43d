"""Parametrize: nested, indirect, marked, generated, empty."""

import pytest


@pytest.mark.parametrize("x", [1, 2])
@pytest.mark.parametrize("y", ["a", "b", "c"])
def test_nested(x, y):
    assert (x, y) != (2, "b")


@pytest.mark.parametrize("x,y", [(1, 2), (3, 4)])
@pytest.mark.parametrize("z", [0])
def test_several_names(x, y, z):
    assert x + 1 == y


@pytest.fixture
def doubled(request):
    return request.param * 2


@pytest.mark.parametrize("doubled", [1, 2], indirect=True)
def test_indirect(doubled):
    assert doubled in (2, 4)


@pytest.mark.parametrize("doubled,plain", [(1, 2), (2, 4)], indirect=["doubled"])
def test_partly_indirect(doubled, plain):
    assert doubled == plain


@pytest.mark.parametrize(
    "value",
    [
        1,
        pytest.param(2, marks=pytest.mark.skip(reason="two")),
        pytest.param(3, marks=pytest.mark.xfail(reason="three")),
        pytest.param(4, marks=pytest.mark.slow, id="four"),
    ],
)
def test_marked_values(value):
    assert value != 3


@pytest.mark.parametrize("nothing", [])
def test_empty_parameter_set(nothing):
    pass


@pytest.mark.parametrize("case", ["x", "y"])
class TestParametrizedClass:
    @pytest.mark.parametrize("number", [1, 2])
    def test_both(self, case, number):
        assert case != "y" or number != 2

    def test_one(self, case):
        pass


def test_generated(word):
    assert len(word) == 3


def test_generated_from_option(extra):
    assert extra == "fixed"


@pytest.fixture(params=["left", "right"])
def side(request):
    return request.param


@pytest.fixture(params=[1, 2], ids=["one", "two"])
def width(request, side):
    return side, request.param


def test_fixture_parameters(width):
    assert width != ("right", 1)
