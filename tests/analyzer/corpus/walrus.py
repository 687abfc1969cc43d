import pytest

if (n := len([m := 1, m + 1])) > 1:
    names = [last := name for name in "abc" if (k := name)]


@pytest.mark.parametrize("x", (values := [1, 2, 3]) + [y := 4])
def test_x(x, z=(w := 1)):
    while chunk := read(n): print(chunk)
