"""What the conftest's hooks do to these."""


def test_renamed():
    pass


def test_rewritten():
    raise AssertionError("the hook says skipped")


def test_wordy():
    raise AssertionError("the hook has its own text")


def test_late():
    pass


def test_replaced():
    raise AssertionError("must not run")


def test_dropped():
    raise AssertionError("must not run")


def test_session(request):
    assert request.config.conformance_started
