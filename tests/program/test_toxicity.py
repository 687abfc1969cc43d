"""What tach-analyzer says of real sources: each directory of tests/analyzer/toxicity_corpus is a project, with the
report that it is expected to get in expected.txt. TACH_WRITE_EXPECTED=1 writes these anew; then read the difference.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from runner import BUILD, ROOT, clean_environment

ANALYZER = BUILD / "analyzer" / "tach-analyzer"
CORPUS = ROOT / "tests" / "analyzer" / "toxicity_corpus"


def analyze(root: Path) -> Any:
    done = subprocess.run(
        [str(ANALYZER), "--root", str(root), "--output", str(root / ".tach" / "analysis"), "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment(),
    )
    return json.loads(done.stdout)


def describe(kind: str, found: dict[str, Any]) -> str:
    at = found["evidence"]
    way = " <- ".join(reversed(found["path"]))
    return f"  {kind} {found['reason']}: {found['pattern']} at {at['file']}:{at['line']}" + (
        f", by {way}" if way else ""
    )


def render(report: Any) -> str:
    lines = []
    for module in report["modules"]:
        source = f", from {module['transitive_from']}" if module["transitive_from"] else ""
        lines.append(f"{module['path']}: {module['level']}{source}")
        lines += [describe("because", reason) for reason in module["reasons"]]
        lines += [describe("hint", hint) for hint in module["hints"]]
    for fixture in report["fixtures"]:
        if fixture["origin"] != "project" or (fixture["level"] == "safe" and fixture["scope"] == "function"):
            continue
        at = fixture["at"]
        lines.append(f"{fixture['scope']} fixture {fixture['name']} at {at['file']}:{at['line']}: {fixture['level']}")
        lines += [describe("because", reason) for reason in fixture["reasons"]]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("project", sorted(path.name for path in CORPUS.iterdir() if path.is_dir()))
def test_a_project_gets_the_report_that_is_expected(project: str, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(CORPUS / project, root, ignore=shutil.ignore_patterns("expected.txt", "__pycache__"))
    text = render(analyze(root))
    expected = CORPUS / project / "expected.txt"
    if os.environ.get("TACH_WRITE_EXPECTED"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


# --- each rule by itself --------------------------------------------------------------------------------------------


def builtin_rules() -> list[dict[str, str]]:
    table = subprocess.run([str(ANALYZER), "--rules"], capture_output=True, text=True, check=True).stdout
    rules = []
    for line in table.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and cells[0].startswith("`"):
            rules.append(dict(zip(("pattern", "reason", "level"), (cell.strip("`") for cell in cells), strict=False)))
    return rules


def sources_of(pattern: str) -> tuple[list[str], str]:
    """Sources that a rule is about, written in several ways, and one that it is not about."""
    if pattern.startswith("import "):
        module = pattern.removeprefix("import ")
        parent, _, name = module.rpartition(".")
        by_member = f"from {parent} import {name}" if parent else f"from {module} import something"
        return [f"import {module} as other", by_member, f"import {module}.deeper"], f"import {module}_not"
    dotted = pattern.removeprefix("*.").replace("*", "anything")
    if pattern.startswith("*."):
        return [f"import somewhere\nsomewhere.{dotted}()"], f"import somewhere\nsomewhere.not_{dotted}()"
    module, _, name = dotted.rpartition(".")
    hits = [
        f"import {module}\n{dotted}()",
        f"import {module} as other\nother.{name}()",
        f"from {module} import {name} as other\nother()",
        f"import {module}\nother = {dotted}\nother()",
    ]
    return hits, f"import apart\napart.{dotted}_not()"


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def test_each_rule_hits_what_it_names_however_it_is_imported_and_nothing_that_never_runs(tmp_path: Path) -> None:
    rules = [rule for rule in builtin_rules() if "strict" not in rule["level"]]
    assert len(rules) > 200
    expected: dict[str, tuple[str, str]] = {}
    for number, rule in enumerate(rules):
        hits, miss = sources_of(rule["pattern"])
        hit_level = "toxic" if rule["level"] == "toxic" else "safe"
        for place, hit in enumerate(hits):
            (tmp_path / f"m{number}_{place}.py").write_text(hit + "\n", encoding="utf-8")
            expected[f"m{number}_{place}.py"] = (hit_level, rule["reason"])
        for place, guard in enumerate(("if False:", "if TYPE_CHECKING:", 'if __name__ == "__main__":')):
            source = f"from typing import TYPE_CHECKING\n{guard}\n{indented(hits[0])}"
            (tmp_path / f"m{number}_never{place}.py").write_text(source, encoding="utf-8")
            expected[f"m{number}_never{place}.py"] = ("safe", "")
        (tmp_path / f"m{number}_miss.py").write_text(miss + "\n", encoding="utf-8")
        expected[f"m{number}_miss.py"] = ("safe", "")
    found = {}
    for module in analyze(tmp_path)["modules"]:
        words = {one["reason"] for one in module["reasons"] + module["hints"]}
        wanted = expected[module["path"]][1]
        found[module["path"]] = (module["level"], wanted if wanted in words else ",".join(sorted(words)))
    wrong = {path: (found[path], want) for path, want in expected.items() if found[path] != want}
    sources = {path: (tmp_path / path).read_text() for path in list(wrong)[:20]}
    assert not wrong, f"{len(wrong)} of {len(expected)}: {sources} {wrong}"
