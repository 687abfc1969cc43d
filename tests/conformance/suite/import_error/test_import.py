"""A file that imports what is not there."""

import a_module_that_does_not_exist


def test_never():
    a_module_that_does_not_exist.use()
