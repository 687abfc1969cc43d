"""Failure texts: assertion rewriting, chains, long data, non-ASCII, errors in helpers and in library code."""

import json

import pytest


def check(value):
    __tracebackhide__ = True
    assert value == "expected", "the helper says no"


def deeper(value):
    return 1 / value


def test_comparison():
    left = {"a": 1, "b": [1, 2, 3], "c": "x" * 50}
    right = {"a": 1, "b": [1, 2, 4], "c": "x" * 49 + "y"}
    assert left == right


def test_long_text():
    assert "\n".join(map(str, range(200))) == "\n".join(map(str, range(1, 201)))


def test_boolean_expression():
    first, second = 3, 4
    assert first > 10 or (second and not second), f"neither {first} nor {second}"


def test_call_in_assertion():
    assert len([1, 2, 3]) == max(range(7))


def test_hidden_helper():
    check("other")


def test_deeper():
    deeper(0)


def test_chain():
    try:
        {}["missing"]
    except KeyError as error:
        raise ValueError("while looking") from error


def test_context():
    try:
        int("x")
    except ValueError:
        raise RuntimeError("while handling")


def test_in_library():
    json.loads("{")


def test_not_ascii():
    assert "grüße" == "日本"


def test_raises_missing():
    with pytest.raises(ValueError):
        pass


def test_raises_match():
    with pytest.raises(ValueError, match="something else"):
        raise ValueError("this")


def test_system_exit():
    raise SystemExit(3)


def test_base_exception():
    class Odd(BaseException):
        pass

    raise Odd("odd")


def test_approx():
    assert 0.1 + 0.2 == pytest.approx(0.4)


def test_recursion():
    def again():
        return again()

    again()


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no repr")


def test_unprintable():
    assert Unprintable() is None


def test_locals_changed():
    values = []
    values.append(len(values))
    assert values == [1]


def test_set_difference():
    assert {1, 2, 3} <= {1, 2}
