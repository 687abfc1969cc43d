import pytest
if 1:
	class A:
		def f(self):
			return 1
if 2:
        	x = 1
def test_a():
	if x:
		pass
	elif y: \
		z()
