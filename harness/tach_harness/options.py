"""What tach-supervisor tells the harness at start, as JSON on the command line of boot.py."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Options:
    """Fields as tach-supervisor's --help has them; a key that one side lacks is an error of tach itself."""

    fds: tuple[int, int, int, int]  # segment, eventfd of the supervisor, eventfd of the process, Unix socket
    seed: int
    mode: str  # "isolated", "fork" or "shared"
    verify_snapshots: bool
    max_resets: int  # snapshot.max_resets
    max_growth: int  # snapshot.max_growth, MiB
    list_only: bool
    explain: str  # the id of a test that is explained instead of run; "" as a rule
    since: bool  # not all tests that pytest selects are wanted, see selection.py
    json: bool
    split_wide: bool
    rewindable: tuple[str, ...]
    loader: bool  # whether an image is wanted
    own_groups: bool  # every process that is forked leads a process group; not where tests may read the terminal
    restarted: bool  # solo: an earlier interpreter of this run died
    unset: tuple[str, ...]  # environment variables that tach-zygote set for the start only

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Options:
        data = dict(data)
        data["fds"] = tuple(data["fds"])
        data["rewindable"] = tuple(data["rewindable"])
        data["unset"] = tuple(data["unset"])
        return cls(**data)
