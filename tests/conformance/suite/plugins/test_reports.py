"""What the run before has written."""

import json
from pathlib import Path

HERE = Path(__file__).parent


def test_benchmarks():
    (benchmark,) = json.loads((HERE / "bench.json").read_text())["benchmarks"]
    assert benchmark["name"] == "test_benchmark"
    assert benchmark["stats"]["rounds"] >= 5


def test_html():
    report = (HERE / "report.html").read_text()
    assert report.count("test_use.py::") >= 7
    assert "7 tests took" in report or "7 Passed" in report
