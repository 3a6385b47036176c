"""Alerts, rules, history and deliveries as they are stored."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Executable, Select, delete, func, insert, select, update

from llm_cost_ops.core.ids import batch_ids, batch_stem, single_id
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.alerts.rules import Rule, make_rule
from llm_cost_ops.server.alerts.tables import alert_deliveries, alert_history, alert_rules, alerts
from llm_cost_ops.server.db.dialects import insert_ignore, lock_rows
from llm_cost_ops.server.db.session import ReadSession, WriteSession

ACTIVE, ACKNOWLEDGED, SNOOZED, RESOLVED = "active", "acknowledged", "snoozed", "resolved"
STATUSES = (ACTIVE, ACKNOWLEDGED, SNOOZED, RESOLVED)
OPEN = (ACTIVE, ACKNOWLEDGED, SNOOZED)
PENDING, DELIVERED, FAILED, SKIPPED = "pending", "delivered", "failed", "skipped"
MAX_HISTORY = 1_000
CHUNK = 500
_ENTROPY_BITS, _PLACES = 60, 1 << 20
_made = itertools.count()
_A, _R, _H, _D = alerts.c, alert_rules.c, alert_history.c, alert_deliveries.c
Row = Mapping[str, Any]


def new_id(prefix: str, now_us: int) -> str:
    """An id; those that one process makes within a millisecond are in the order of their making."""
    place = next(_made) % _PLACES
    return single_id(
        prefix, now_us // 1_000, place << _ENTROPY_BITS | secrets.randbits(_ENTROPY_BITS)
    )


# --- rules -------------------------------------------------------------------------------------


def rule_row(session: ReadSession, organization_id: str, rule_id: str) -> Row | None:
    """One rule that is not deleted."""
    query = select(alert_rules).where(
        _R.id == rule_id, _R.organization_id == organization_id, _R.deleted_at.is_(None)
    )
    return _first(session, query)


def rule_rows(session: ReadSession, organization_id: str) -> list[Row]:
    """The organization's rules by id, also those that are switched off."""
    query = (
        select(alert_rules)
        .where(_R.organization_id == organization_id, _R.deleted_at.is_(None))
        .order_by(_R.id)
    )
    return _rows(session, query)


def rule_of(row: Row) -> Rule:
    return make_rule(row["id"], row["organization_id"], loads(row["definition"]))


def lock_rule(session: WriteSession, organization_id: str, rule_id: str) -> Row | None:
    """The rule's row, held until the transaction ends: who fires for a rule looks first what it
    has fired already."""
    query = select(alert_rules).where(
        _R.id == rule_id, _R.organization_id == organization_id, _R.deleted_at.is_(None)
    )
    return _first(session, lock_rows(query))


# lint: allow tenant-scope: asked by the relay for all organizations of some events
def having_rules(
    session: ReadSession, organization_ids: Collection[str], kinds: Collection[str]
) -> set[str]:
    """Those of the organizations that have a rule of these kinds in force."""
    query = select(_R.organization_id).where(
        _R.organization_id.in_(organization_ids),
        _R.kind.in_(sorted(kinds)),
        _R.enabled == 1,
        _R.deleted_at.is_(None),
    )
    return {row[0] for row in session.execute(query.distinct())}


# lint: allow tenant-scope: the sweep serves every organization
def organizations_with(session: ReadSession, kinds: Sequence[str]) -> list[str]:
    """Who has rules in force, or alerts that may clear, of these kinds."""
    ruled = select(_R.organization_id).where(
        _R.kind.in_(kinds), _R.enabled == 1, _R.deleted_at.is_(None)
    )
    alerted = select(_A.organization_id).where(_A.status.in_(OPEN), _A.kind.in_(kinds))
    found = {row[0] for query in (ruled, alerted) for row in session.execute(query.distinct())}
    return sorted(found)


def add_rule(session: WriteSession, organization_id: str, values: Mapping[str, Any]) -> None:
    session.execute(insert(alert_rules), {**values, "organization_id": organization_id})


def change_rule(session: WriteSession, organization_id: str, rule_id: str, **values: Any) -> None:
    session.execute(
        update(alert_rules)
        .where(_R.id == rule_id, _R.organization_id == organization_id)
        .values(**values)
    )


# --- alerts ------------------------------------------------------------------------------------


def add_alert(session: WriteSession, organization_id: str, values: Mapping[str, Any]) -> bool:
    """Whether the alert is new: one with its dedup key may be there already."""
    row = {**values, "organization_id": organization_id}
    session.execute(insert_ignore(session.kind, alerts, ["dedup_key"]), row)
    mine = select(_A.id).where(
        _A.dedup_key == row["dedup_key"], _A.organization_id == organization_id
    )
    return session.scalar(mine) == row["id"]


def alert_row(session: ReadSession, organization_id: str, alert_id: str) -> Row | None:
    query = select(alerts).where(_A.id == alert_id, _A.organization_id == organization_id)
    return _first(session, query)


def lock_alert(session: WriteSession, organization_id: str, alert_id: str) -> Row | None:
    query = select(alerts).where(_A.id == alert_id, _A.organization_id == organization_id)
    return _first(session, lock_rows(query))


def change_alert(session: WriteSession, organization_id: str, alert_id: str, **values: Any) -> None:
    session.execute(
        update(alerts)
        .where(_A.id == alert_id, _A.organization_id == organization_id)
        .values(**values)
    )


def known_keys(session: ReadSession, organization_id: str, keys: Iterable[str]) -> set[str]:
    """Those dedup keys that an alert has already."""
    wanted, found = sorted(set(keys)), set[str]()
    for start in range(0, len(wanted), CHUNK):
        query = select(_A.dedup_key).where(
            _A.dedup_key.in_(wanted[start : start + CHUNK]),
            _A.organization_id == organization_id,
        )
        found.update(row[0] for row in session.execute(query))
    return found


def latest_of(session: ReadSession, organization_id: str, subject: str) -> Row | None:
    """The last alert about a subject."""
    query = (
        select(alerts)
        .where(_A.organization_id == organization_id, _A.subject == subject)
        .order_by(_A.fired_at.desc(), _A.id.desc())
        .limit(1)
    )
    return _first(session, query)


def open_alerts(session: ReadSession, organization_id: str, kinds: Sequence[str]) -> list[Row]:
    """Alerts of these kinds that are not resolved, by id."""
    query = (
        select(alerts)
        .where(_A.status.in_(OPEN), _A.kind.in_(kinds), _A.organization_id == organization_id)
        .order_by(_A.id)
    )
    return _rows(session, query)


def list_alerts(
    session: ReadSession,
    organization_id: str,
    conditions: Sequence[ColumnElement[bool]],
    *,
    limit: int,
    offset: int = 0,
    before: str | None = None,
) -> list[Row]:
    """Alerts that meet the conditions, the newest first."""
    query = select(alerts).where(_A.organization_id == organization_id, *conditions)
    if before is not None:
        query = query.where(_A.id < before)
    return _rows(session, query.order_by(_A.id.desc()).limit(limit).offset(offset))


def fired_between(
    session: ReadSession, organization_id: str, start_us: int, end_us: int, without: str
) -> dict[str, int]:
    """How many alerts of each severity fired in a window, but for those of one kind."""
    query = (
        select(_A.severity, func.count().label("fired"))
        .where(
            _A.organization_id == organization_id,
            _A.fired_at >= start_us,
            _A.fired_at < end_us,
            _A.kind != without,
        )
        .group_by(_A.severity)
    )
    return {row.severity: int(row.fired) for row in session.execute(query)}


# lint: allow tenant-scope: retention serves every organization
def ended_before(
    session: ReadSession, before_us: int, after: str, end: str, limit: int
) -> list[Row]:
    """The first alerts that were over before an instant, of those with ids between `after` and
    `end`; ids are in the order of the making, and no alert is over before it is made."""
    query = (
        select(_A.id, _A.organization_id, _A.kind, _A.budget_id, _A.fired_at)
        .where(_A.id > after, _A.id < end, _A.status == RESOLVED, _A.resolved_at < before_us)
        .order_by(_A.id)
        .limit(limit)
    )
    return _rows(session, query)


# lint: allow tenant-scope: retention serves every organization
def remove_alerts(session: WriteSession, ids: Sequence[str]) -> None:
    """Remove alerts with their history and deliveries."""
    session.execute(delete(alert_history).where(_H.alert_id.in_(ids)))
    session.execute(delete(alert_deliveries).where(_D.alert_id.in_(ids)))
    session.execute(delete(alerts).where(_A.id.in_(ids)))


# --- history -----------------------------------------------------------------------------------


def note(
    session: WriteSession,
    organization_id: str,
    alert_id: str,
    kind: str,
    text: str,
    *,
    now_us: int,
    actor_id: str | None = None,
    details: Mapping[str, object] | None = None,
) -> None:
    """Append to an alert's history."""
    session.execute(
        insert(alert_history),
        {
            "id": new_id("alh", now_us),
            "organization_id": organization_id,
            "alert_id": alert_id,
            "kind": kind,
            "text": text,
            "details": dumps(details or {}),
            "actor_id": actor_id,
            "at": now_us,
        },
    )


def history(session: ReadSession, organization_id: str, alert_id: str) -> list[Row]:
    """The last MAX_HISTORY things that happened to an alert, oldest first."""
    query = _history(organization_id, alert_id).order_by(_H.at.desc(), _H.id.desc())
    return _rows(session, query.limit(MAX_HISTORY))[::-1]


def history_from(
    session: ReadSession, organization_id: str, alert_id: str, start: int, limit: int
) -> list[Row]:
    """At most `limit` of what happened to an alert, oldest first, after the first `start`."""
    query = _history(organization_id, alert_id).order_by(_H.at, _H.id)
    return _rows(session, query.offset(start).limit(limit))


def _history(organization_id: str, alert_id: str) -> Select[Any]:
    return select(alert_history).where(
        _H.alert_id == alert_id, _H.organization_id == organization_id
    )


# --- deliveries --------------------------------------------------------------------------------


def add_deliveries(
    session: WriteSession, organization_id: str, new: Sequence[Mapping[str, Any]], now_us: int
) -> list[Row]:
    """Those of the deliveries that are new; each names alert, channel, moment, part and due_at."""
    if not new:
        return []
    stem = batch_stem("ald", now_us // 1_000, secrets.randbits(_ENTROPY_BITS))
    rows = [
        {
            **values,
            "id": delivery_id,
            "organization_id": organization_id,
            "state": PENDING,
            "attempts": 0,
            "detail": "",
            "created_at": now_us,
        }
        for delivery_id, values in zip(batch_ids(stem, len(new)), new, strict=True)
    ]
    unique = ["alert_id", "channel_id", "moment", "part"]
    session.execute(insert_ignore(session.kind, alert_deliveries, unique), rows)
    query = select(_D.id).where(
        _D.id.in_([row["id"] for row in rows]), _D.organization_id == organization_id
    )
    made = {row[0] for row in session.execute(query)}
    return [row for row in rows if row["id"] in made]


def delivery(session: ReadSession, organization_id: str, delivery_id: str) -> Row | None:
    query = select(alert_deliveries).where(
        _D.id == delivery_id, _D.organization_id == organization_id
    )
    return _first(session, query)


def deliveries(session: ReadSession, organization_id: str, alert_id: str) -> list[Row]:
    """Who was or is to be told of an alert, in the order in which it was planned."""
    query = (
        select(alert_deliveries)
        .where(_D.alert_id == alert_id, _D.organization_id == organization_id)
        .order_by(_D.id)
    )
    return _rows(session, query)


def change_delivery(
    session: WriteSession, organization_id: str, delivery_id: str, **values: Any
) -> None:
    session.execute(
        update(alert_deliveries)
        .where(_D.id == delivery_id, _D.organization_id == organization_id)
        .values(**values)
    )


def _rows(session: ReadSession, query: Executable) -> list[Row]:
    return [dict(row) for row in session.execute(query).mappings()]


def _first(session: ReadSession, query: Select[Any]) -> Row | None:
    row = session.execute(query).mappings().first()
    return None if row is None else dict(row)
