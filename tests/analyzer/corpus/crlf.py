import pytest

@pytest.mark.parametrize(
    'x', ['a\
b', '''c
d'''])
def test_x(x):
    if x: \
        pass
    # end
