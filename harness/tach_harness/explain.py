"""--explain: what only pytest and a running interpreter can tell of how one test is going to run; nothing is run."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from . import modules
from .link import NO_ITEM, native, send, text
from .plan import ItemPlan, Plan, active_definitions, fixture_closure, is_wide


def tell(plan: Plan, nodeid: str, why_solo: str | None) -> None:
    """Send kExplained and kModuleFiles. `why_solo`: why the whole session runs in one process; None if it does not."""
    session = plan.session
    index = next((i for i, item in enumerate(session.items) if item.nodeid == nodeid), NO_ITEM)
    fixtures, shared = "", ""
    if index != NO_ITEM:
        item = session.items[index]
        fixtures = "\0".join(_record(d, session.config.rootpath) for d in active_definitions(fixture_closure(item)))
        shared = _why_shared(plan, index)
    send(native.KIND_EXPLAINED, index, strings=(text(fixtures), text(why_solo or ""), text(shared)))
    modules.send_files(session)


def _record(definition: Any, root: Path) -> str:
    wide = "wide" if is_wide(definition) else ""
    return "\n".join((definition.argname, definition.scope, _place(definition.func, root), wide))


def _place(function: Any, root: Path) -> str:
    """Where a fixture stands: in the project by file and line, elsewhere by module."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is not None and Path(code.co_filename).is_relative_to(root):
        return f"{Path(code.co_filename).relative_to(root)}:{code.co_firstlineno}"
    return str(getattr(function, "__module__", None) or "unknown")


def _why_shared(plan: Plan, index: int) -> str:
    """Why the item is going to run un-rewound, as far as that is known before anything has run; else ""."""
    unit = plan.items[index].unit
    before = [plan.items[index]]
    if unit:
        before = [p for p in plan.items[: index + 1] if p.unit == unit]
    first = next((p for p in before if p.commits()), None)
    return "" if first is None else _asks(first, plan.items[index])


def _asks(asking: ItemPlan, asked_about: ItemPlan) -> str:
    who = "it" if asking is asked_about else asking.item.nodeid
    return f"{who} asks for {', '.join(asking.names_to_commit())} while it runs"
