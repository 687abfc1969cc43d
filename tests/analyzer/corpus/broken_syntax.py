import pytest
def test_a(:
    x = [1, 2
@pytest.mark.parametrize("x", [1,
class TestB(:
  def test_c(self)
    return 'unfinished
print "python 2"
exec "code" in {}
    unexpected = indent
)]} $ ? `
def f(*, **, /): yield from
