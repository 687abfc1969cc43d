"""Takes out of a text what may differ between two runs of the very same runner, and nothing else."""

from __future__ import annotations

import re

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (re.compile(r"\b0x[0-9a-fA-F]{4,}\b"), "0xADDRESS"),
    (re.compile(r"\b\d+\.\d+(?:e-\d+)? ?(s|seconds|ms)\b"), r"N \1"),
    (re.compile(r"\bpytest-of-[^/\s]+"), "pytest-of-USER"),
    (re.compile(r"\bpytest-\d+\b"), "pytest-N"),
    # With several workers pytest's own tmp_path machinery is told apart as xdist does it.
    (re.compile(r"(pytest-N/)popen-gw\d+(?:-\d+)?/"), r"\1"),
    (re.compile(r"/tmp[a-z0-9_]{8}\b"), "/tmpNAME"),
    (re.compile(r"\b(pid|PID)([ =:]+)\d+"), r"\1\2N"),
    # How deep the runner itself stands on the stack when a test recurses without end.
    (re.compile(r"\[Previous line repeated \d+ more times\]"), "[Previous line repeated N more times]"),
    # Frames of the runner itself in a native traceback, and where pytest 9 draws the letters of failed subtests: while it
    # captures, so that they end up in the test's own output.
    (re.compile(r'(?m)^  File "(?:<tach>|[^"\n]*/(?:_pytest|pluggy|tach_harness)/)[^\n]*\n(?:    [^\n]*\n)*'), ""),
    (re.compile(r"(?m)^u+$"), ""),
    (re.compile(r"\bThread-\d+\b"), "Thread-N"),
    (re.compile(r"\bTask-\d+\b"), "Task-N"),
)


def normalise(text: str) -> str:
    """Return the text with addresses, durations, temp numbers and process ids replaced."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def one_line(text: str, limit: int = 160) -> str:
    """Quote a text for a one-line report, shortened in the middle."""
    quoted = repr(text)
    if len(quoted) <= limit:
        return quoted
    half = limit // 2
    return f"{quoted[:half]} ... {quoted[-half:]}"


def first_difference(left: str, right: str) -> tuple[str, str]:
    """Return the first differing lines of two texts, with their line number in front."""
    ours, theirs = left.splitlines(), right.splitlines()
    for number, (a, b) in enumerate(zip(ours, theirs), 1):
        if a != b:
            return f"line {number} {one_line(a)}", f"line {number} {one_line(b)}"
    shorter = min(len(ours), len(theirs))
    rest = [lines[shorter] if len(lines) > shorter else "" for lines in (ours, theirs)]
    return f"line {shorter + 1} {one_line(rest[0])}", f"line {shorter + 1} {one_line(rest[1])}"
