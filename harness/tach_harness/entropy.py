"""Randomness per test: without it, every test that starts from one image would see the same random numbers.

`random` (and numpy's legacy generator, if it is loaded) is seeded from the run's seed and the node id, so that
`--seed` repeats a run. Not if the suite has seeded it itself: then each test starts from the suite's state.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from typing import Any

try:  # hashlib would load OpenSSL first
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

# A suite that drew more than this many blocks of 624 words before the first test counts as one that seeded: the only
# consequence is that its tests start from that state. The bound keeps the check under 20 ms.
MAX_BLOCKS = 16


class Entropy:
    """Knows how the generator stood at the start of the session and whether somebody seeded it since."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        random.seed(seed)
        self._initial = random.getstate()
        self._judged: tuple[Any, bool] | None = None

    def judge(self) -> None:
        """Find out, in a layer's process, whether its state is the suite's own: somebody called seed since the start."""
        state = random.getstate()
        if self._judged is None or self._judged[0] != state:
            self._judged = (state, not self._reachable(state))

    def _reachable(self, state: Any) -> bool:
        if state[1][:-1] == self._initial[1][:-1]:
            return True
        shadow = random.Random()
        shadow.setstate(self._initial)
        for _ in range(MAX_BLOCKS):
            shadow.getrandbits(32 * 624)  # one regeneration of the Mersenne Twister's 624 words
            if shadow.getstate()[1][:-1] == state[1][:-1]:
                return True
        return False

    def prepare(self, nodeid: str) -> None:
        """Call first thing in a test's own process."""
        tempfile._name_sequence = None  # type: ignore[attr-defined]
        openssl = sys.modules.get("_ssl")
        if openssl is not None:
            # OpenSSL notices a fork, but not that its generator was set back.
            openssl.RAND_add(os.urandom(32), 32.0)
        if self._judged is not None and self._judged[1]:
            return
        digest = blake2b(f"{self._seed}:{nodeid}".encode("utf-8", "backslashreplace"), digest_size=8).digest()
        value = int.from_bytes(digest, "little")
        random.seed(value)
        numpy_seed = getattr(sys.modules.get("numpy.random"), "seed", None)
        if callable(numpy_seed):
            numpy_seed(value & 0xFFFFFFFF)
