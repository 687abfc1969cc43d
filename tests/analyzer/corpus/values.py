import pytest

A = {1: "x", "y": [2.5, -3j], **{}} | {None: ...}
B = sorted({3, 1, 2}, reverse=True)[::-1] + list(range(0, 0x10, 0b11)) * 2
C = [(a, b) for a, b in zip("ab", enumerate(A)) if a not in B for _ in "x" * 3]
A["z"] = B.append(1)
D, (E, *F) = 10**20, "%s-%d" % ("a", 1), "{0!r:>3}".format(B)
del A["y"], E


@pytest.mark.parametrize("x", C + [pytest.param(d, marks=pytest.mark.xfail) for d in B], indirect=["x"])
@pytest.mark.parametrize(["y", "z"], dict(a=1).items() or [1 < 2 < 3, "\t\N{BULLET}\u00e9"])
def test_x(x, y, z): ...
