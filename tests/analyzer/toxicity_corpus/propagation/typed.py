from __future__ import annotations

import typing
import typing as t

if typing.TYPE_CHECKING:
    import a
if t.TYPE_CHECKING or False:
    import b
