"""What a suite sees of its being run by several workers.

Tests that know pytest-xdist skip, or do something else, where they see it, so only a suite that uses xdist itself sees
all that xdist shows. Others have their fixtures' results under xdist, if it is installed, and plugins that keep
something for each worker (a database, a port) learn the worker's name while their own fixtures run.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from .plan import registered_definitions

# Packages whose fixtures name what they make after the worker, by the environment or by `config.workerinput`.
PER_WORKER = frozenset(
    {
        "pytest_django",
        "pytest_elasticsearch",
        "pytest_mongo",
        "pytest_mysql",
        "pytest_postgresql",
        "pytest_rabbitmq",
        "pytest_redis",
    }
)


class WorkerName:
    """One of several workers, as xdist would call it."""

    def __init__(self, number: int, count: int, run_uid: str) -> None:
        self.name = f"gw{number}"
        self.run_uid = run_uid
        self._environment = {
            "PYTEST_XDIST_WORKER": self.name,
            "PYTEST_XDIST_WORKER_COUNT": str(count),
            "PYTEST_XDIST_TESTRUNUID": run_uid,
        }
        self._input = {"workerid": self.name, "workercount": count, "testrunuid": run_uid, "mainargv": sys.argv}

    def show(self, config: pytest.Config) -> None:
        """All that xdist shows, to everybody."""
        os.environ.update(self._environment)
        config.workerinput = dict(self._input)  # type: ignore[attr-defined]
        config.workeroutput = {}  # type: ignore[attr-defined]

    def tell_fixtures(self, session: pytest.Session) -> None:
        """Only what fixtures of xdist and of the plugins above are for."""
        for definition in registered_definitions(session):
            module = str(definition.func.__module__)
            if module == "xdist.plugin" and definition.argname in ("worker_id", "testrun_uid"):
                value = self.name if definition.argname == "worker_id" else self.run_uid
                definition.func = functools.partial(_constant, value)
            elif module.partition(".")[0] in PER_WORKER:
                definition.func = self._showing(session.config, definition.func)

    def _showing(self, config: pytest.Config, function: Callable[..., Any]) -> Callable[..., Any]:
        if not inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def call(*args: Any, **kwargs: Any) -> Any:
                with self._shown(config):
                    return function(*args, **kwargs)

            return call

        @functools.wraps(function)
        def generate(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            while True:
                with self._shown(config):
                    value = next(generator, generator)
                if value is generator:  # it has come to its end
                    return
                yield value

        return generate

    @contextmanager
    def _shown(self, config: pytest.Config) -> Iterator[None]:
        before = os.environ.copy()
        self.show(config)
        try:
            yield
        finally:
            for name in self._environment:
                if name in before:
                    os.environ[name] = before[name]
                else:
                    os.environ.pop(name, None)
            for name in ("workerinput", "workeroutput"):
                vars(config).pop(name, None)


def _constant(value: str, request: Any) -> str:
    return value
