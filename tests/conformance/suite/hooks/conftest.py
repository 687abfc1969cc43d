"""A conftest that hooks into the session: reports rewritten, categories of its own, session hooks with output."""

import pytest


def pytest_report_teststatus(report, config):
    if report.when == "call" and report.passed and "renamed" in report.nodeid:
        return "renamed", "n", "RENAMED"
    return None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if "rewritten" in item.name and report.when == "call":
        report.outcome = "skipped"
        report.longrepr = ("conftest.py", 1, "Skipped: rewritten by a hook")
    if "wordy" in item.name and report.when == "call":
        report.longrepr = "a text of the hook's own"


def pytest_runtest_teardown(item):
    if "late" in item.name:
        raise RuntimeError("a hook fails at teardown")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if "replaced" in pyfuncitem.name:
        print("called by the hook")
        return True
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    item.user_properties.append(("next", nextitem.name if nextitem else "none"))


def pytest_itemcollected(item):
    item.user_properties.append(("collected", item.name))


def pytest_collection_modifyitems(session, config, items):
    dropped = [item for item in items if "dropped" in item.name]
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in reversed(items) if item not in dropped]


def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".words":
        return WordFile.from_parent(parent, path=file_path)
    return None


class WordFile(pytest.File):
    """A collector of its own: a test for each line."""

    def collect(self):
        for number, word in enumerate(self.path.read_text().split()):
            yield Word.from_parent(self, name=f"{word}-{number}")


class Word(pytest.Item):
    """An item that is no Python function."""

    def runtest(self):
        if self.name.startswith("bad"):
            raise ValueError(self.name)

    def repr_failure(self, excinfo, style=None):
        return f"not a good word: {excinfo.value}"

    def reportinfo(self):
        return self.path, 0, f"word: {self.name}"


def pytest_sessionstart(session):
    session.config.conformance_started = True


def pytest_sessionfinish(session, exitstatus):
    if session.config.getoption("--final-exit") is not None:
        session.exitstatus = session.config.getoption("--final-exit")


def pytest_addoption(parser):
    parser.addoption("--final-exit", type=int, default=None)
