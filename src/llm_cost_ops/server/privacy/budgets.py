"""Scopes of budgets that name a person: widened to both names while calls are renamed, then
narrowed to the new one. At every moment the counters equal the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import select, update

from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.core.scope import MAX_VALUES
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.privacy.rewrite import Rewriter
from llm_cost_ops.server.spend.lock import hold_alone
from llm_cost_ops.server.spend.tables import budgets

Definition = Mapping[str, Any]
_ROW = budgets.c


def widen(session: WriteSession, organization_id: str, rewriter: Rewriter) -> bool:
    """Let scopes hold calls under either name. Holds the budgets alone. False where a scope has no
    room for one more name, and then none is changed: all calls are to be renamed at once."""
    hold_alone(session, organization_id)
    found = session.execute(select(_ROW.definition).where(_ROW.organization_id == organization_id))
    texts: Sequence[str] = found.scalars().all()
    if any(_is_full(_both(loads(text), rewriter).get("scope")) for text in texts):
        return False
    _change(session, organization_id, lambda given: _both(given, rewriter))
    return True


def _is_full(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_is_full(inner) for inner in cast("Definition", value).values())
    return isinstance(value, list) and len(cast("list[str]", value)) > MAX_VALUES


def narrow(session: WriteSession, organization_id: str, rewriter: Rewriter) -> int:
    """Leave the new name alone in scopes, names and descriptions. The caller holds the budgets
    alone since before it renamed the last calls."""
    changed = _change(session, organization_id, lambda given: _new(given, rewriter))
    rows = session.execute(
        select(_ROW.id, _ROW.name).where(_ROW.organization_id == organization_id)
    )
    for row in rows.mappings().all():
        budget_id, fresh = row["id"], rewriter.plain(row["name"])
        if fresh is not None:
            session.execute(
                update(budgets)
                .where(_ROW.organization_id == organization_id, _ROW.id == budget_id)
                .values(name=fresh)
            )
    return changed


def _change(
    session: WriteSession, organization_id: str, work: Callable[[Definition], Definition]
) -> int:
    rows = session.execute(
        select(_ROW.id, _ROW.definition).where(_ROW.organization_id == organization_id)
    )
    changed = 0
    for row in rows.mappings().all():
        budget_id, before = row["id"], loads(row["definition"])
        after = work(before)
        if after != before:
            changed += 1
            session.execute(
                update(budgets)
                .where(_ROW.organization_id == organization_id, _ROW.id == budget_id)
                .values(definition=dumps(after))
            )
    return changed


def _new(definition: Definition, rewriter: Rewriter) -> Definition:
    made = cast("dict[str, Any]", rewriter.value(definition))
    scope = made.get("scope")
    return {**made, "scope": _unique(scope)} if scope else made


def _unique(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _unique(inner) for key, inner in cast("Definition", value).items()}
    if isinstance(value, list):
        listed = list(dict.fromkeys(cast("list[str]", value)))
        return listed
    return value


def _both(definition: Definition, rewriter: Rewriter) -> Definition:
    scope = definition.get("scope")
    return {**definition, "scope": _widened(scope, rewriter)} if scope else definition


def _widened(value: Any, rewriter: Rewriter) -> Any:
    if isinstance(value, Mapping):
        # A key of metadata that is a name becomes a second dimension, which would hold nothing:
        # the old key stays until the calls have the new one.
        return {k: _widened(inner, rewriter) for k, inner in cast("Definition", value).items()}
    if isinstance(value, str):
        fresh = rewriter.text(value)
        return value if fresh == value else [value, fresh]
    if isinstance(value, list):
        listed = cast("list[str]", value)
        return list(dict.fromkeys([*listed, *map(rewriter.text, listed)]))
    return value
