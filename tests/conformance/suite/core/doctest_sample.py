"""A module with doctests.

>>> 1 + 1
2
"""


def good():
    """Pass.

    >>> good()
    'good'
    """
    return "good"


def bad():
    """Fail.

    >>> bad()
    'other'
    >>> print("not reached")
    not reached
    """
    return "bad"


def raises():
    """Raise.

    >>> raises()
    Traceback (most recent call last):
    ValueError: as documented
    >>> {}["x"]
    """
    raise ValueError("as documented")


def skipped():
    """Skip.

    >>> 1 / 0  # doctest: +SKIP
    """


class Sample:
    """A class.

    >>> Sample().method()
    1
    """

    def method(self):
        """Return one.

        >>> Sample().method() + 1
        2
        """
        return 1
