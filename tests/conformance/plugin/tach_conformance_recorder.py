"""A pytest plugin that writes down what pytest tells its plugins, as JSON.

Loaded with `-p`, in any pytest from 7 on. Under pytest it gives the reference; under tach the same file,
loaded by the controller, shows whether tach replays the same things to plugins. It has no hook that takes
part in running a test. With TACH_CONFORMANCE_SELECT (a file of node ids) it keeps only those items, in
their order, for bisection.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from typing import Any

import pytest


class Recorder:
    """Collects reports, one entry a test, and writes them when the session is over."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.tests: list[dict[str, Any]] = []
        self.collect_failures: list[dict[str, str]] = []
        self.status: dict[int, str] = {}
        self.warnings = 0

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        self.tests.append({"nodeid": nodeid, "location": list(location), "reports": []})

    @pytest.hookimpl(hookwrapper=True)
    def pytest_report_teststatus(self, report: Any) -> Generator[None, Any, None]:
        """Note the category pytest itself gives a report: that is what its counts are made of."""
        answer = yield
        result = answer.get_result()
        self.status[id(report)] = result[0] if result else ""

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: Any) -> None:
        entry = self._entry(report.nodeid)
        entry["reports"].append(
            {
                "kind": type(report).__name__,
                "when": report.when,
                "outcome": report.outcome,
                "category": self.status.pop(id(report), None),
                "wasxfail": getattr(report, "wasxfail", None),
                "skip": _skip_reason(report),
                "text": report.longreprtext,
                "sections": [list(section) for section in report.sections],
                "stdout": report.capstdout,
                "stderr": report.capstderr,
                "properties": [[str(name), str(value)] for name, value in report.user_properties],
            }
        )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.collect_failures.append({"nodeid": report.nodeid, "text": report.longreprtext})

    def pytest_warning_recorded(self, warning_message: Any, when: str, nodeid: str, location: Any) -> None:
        self.warnings += 1

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        self.exit_status = int(exitstatus)

    def write(self, config: pytest.Config) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        stats = getattr(reporter, "stats", {})
        record = {
            "tests": self.tests,
            "collect_failures": self.collect_failures,
            "warnings": self.warnings,
            "exit_status": getattr(self, "exit_status", None),
            "counts": {name: len(reports) for name, reports in stats.items() if name},
        }
        with open(self.path, "w", encoding="utf-8", errors="surrogateescape") as file:
            json.dump(record, file)

    def _entry(self, nodeid: str) -> dict[str, Any]:
        for entry in reversed(self.tests):
            if entry["nodeid"] == nodeid:
                return entry
        self.tests.append({"nodeid": nodeid, "location": [], "reports": [], "unannounced": True})
        return self.tests[-1]


def _skip_reason(report: Any) -> Any:
    if report.outcome != "skipped" or not isinstance(report.longrepr, tuple):
        return None
    return report.longrepr[2]


def pytest_configure(config: pytest.Config) -> None:
    path = os.environ.get("TACH_CONFORMANCE_RECORD")
    if path:
        config.pluginmanager.register(Recorder(path), "tach-conformance-recorder")


def pytest_unconfigure(config: pytest.Config) -> None:
    recorder = config.pluginmanager.get_plugin("tach-conformance-recorder")
    if recorder is not None:
        recorder.write(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    path = os.environ.get("TACH_CONFORMANCE_SELECT")
    if not path:
        return
    with open(path, encoding="utf-8") as file:
        wanted = set(json.load(file))
    items[:] = [item for item in items if item.nodeid in wanted]
