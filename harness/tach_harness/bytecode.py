"""What compiled code depends on besides its source: the texts that a bytecode image and its reader must agree about.

Also loaded by tach-compiler's interpreters, by its path: it imports nothing of tach.
"""

import sys
from _frozen_importlib_external import MAGIC_NUMBER  # as importlib.util has it, which imports much else


def _has_columns() -> bool:
    """Whether code tells where in a line an instruction stands: not with -X no_debug_ranges."""
    code = compile("a.b", "<tach>", "eval")
    positions = getattr(code, "co_positions", None)  # since 3.11
    return positions is not None and any(column is not None for _, _, column, _ in positions())


def interpreter_key(version: str) -> str:
    """Of all code. `version`: tach's own."""
    settings = (
        f"tach {version}",
        sys.version,
        str(sys.implementation.cache_tag),
        MAGIC_NUMBER.hex(),
        f"optimize {sys.flags.optimize}",
        f"columns {_has_columns()}",
        f"digits {getattr(sys.flags, 'int_max_str_digits', 0)}",
    )
    return "\n".join(settings)


def rewriter_key(assertion_pass_hook: bool) -> str:
    """Of code that pytest's assertion rewriter has made; imports pytest. The flag: enable_assertion_pass_hook."""
    import importlib.util

    import pytest
    from _pytest.assertion import rewrite

    with open(str(rewrite.__file__), "rb") as file:
        source = importlib.util.source_hash(file.read()).hex()  # of one that somebody has changed, too
    settings = (f"pytest {pytest.__version__}", str(rewrite.PYC_TAIL), source, f"pass hook {assertion_pass_hook}")
    return "\n".join(settings)
