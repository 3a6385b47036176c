"""Anomalies that were found: listed, shown, explained, and judged by people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.grants import Reach
from llm_cost_ops.core.period import ALL_TIME, time_zone, window_between
from llm_cost_ops.core.scope import Scope
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.analytics.request import Home
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.forecasts import cause, store, watch, wire
from llm_cost_ops.server.forecasts.openapi import FOUND_FILTERS
from llm_cost_ops.server.forecasts.terms import STEPS
from llm_cost_ops.server.http.pagination import encode_cursor, page_answer, page_request
from llm_cost_ops.server.http.problems import invalid, not_found
from llm_cost_ops.server.identity.organizations import get_organization

MAX_NOTE = 255
_SAID = {"true": True, "false": False}
_TAKEN_BACK = "none"
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """Whether it was an anomaly; None takes back what was said."""

    is_anomaly: bool | None
    note: str | None


def listed(session: ReadSession, query: Mapping[str, str], at: Home, reach: Reach) -> Document:
    """A page of anomalies that are reached. Raises Problem 422, DomainError."""
    given = {name: query[name] for name in FOUND_FILTERS if name in query}
    subject = f"{at.organization_id} anomalies {sorted(given.items())}"
    page = page_request(query, subject, (int, str))
    wanted = _wanted(given, at)
    before = None
    if page.position is not None:
        bucket, anomaly_id = page.position
        before = (int(bucket or 0), str(anomaly_id))
    rows = store.anomaly_rows(
        session, at.organization_id, wanted, before, page.offset, page.limit + 1, reach
    )
    kept = rows[: page.limit]
    cursor = None
    if len(rows) > page.limit:
        cursor = encode_cursor(subject, [int(kept[-1]["bucket_start"]), kept[-1]["id"]])
    return page_answer([wire.anomaly_row(row, causes=False) for row in kept], page, cursor)


def _wanted(given: Mapping[str, str], at: Home) -> dict[str, Any]:
    wanted: dict[str, Any] = {n: v for n, v in given.items() if n in store.FILTERS}
    if "interval" in given:
        step = STEPS.get(given["interval"])
        if step is None:
            raise invalid("interval", f"must be one of: {', '.join(STEPS)}")
        wanted["frequency"] = step
    if "is_anomaly" in given:
        said = _SAID.get(given["is_anomaly"])
        if said is None:
            raise invalid("is_anomaly", "must be true or false")
        wanted["is_anomaly"] = int(said)
    start, end = given.get("start_date"), given.get("end_date")
    if start is not None or end is not None:
        window = window_between(start, end, time_zone(at.time_zone)).clip(ALL_TIME)
        wanted |= {"start_us": window.start_us, "end_us": window.end_us}
    return wanted


def one(session: ReadSession, principal: Principal, anomaly_id: str) -> Document:
    """One anomaly. Raises Problem 404."""
    return wire.anomaly_row(_row(session, principal, anomaly_id))


def _row(session: ReadSession, principal: Principal, anomaly_id: str) -> dict[str, Any]:
    row = store.anomaly(session, principal.organization_id, anomaly_id)
    if row is None or not is_anomaly_reached(principal.reach, row):
        raise not_found("Anomaly not found")
    return row


def is_anomaly_reached(reach: Reach, row: Mapping[str, Any]) -> bool:
    """Whether all calls of the value that an anomaly is about are reached."""
    value = Scope(((row["dimension"], frozenset({row["value"]})),))
    return reach.is_everything or reach.covers(value)


def causes(session: ReadSession, principal: Principal, anomaly_id: str) -> Document:
    """The causes by the ledger as it is. Raises Problem 404."""
    row = _row(session, principal, anomaly_id)
    organization = get_organization(session, principal.organization_id)
    if organization is None:
        raise not_found("Anomaly not found")
    return cause.causes_of(session, watch.jump_of(organization, row))


def said_of(body: Mapping[str, object]) -> Said:
    """What a body says: `is_anomaly` or `feedback`, and a `note`. Raises DomainError."""
    given = dict(body)
    note = given.pop("note", None)
    names = [name for name in ("is_anomaly", "feedback") if name in given]
    if len(names) != 1:
        raise DomainError("is required", field="is_anomaly")
    said = given.pop(names[0])
    if isinstance(said, str):
        said = None if said == _TAKEN_BACK else _SAID.get(said, said)
    for name in given:
        raise DomainError("is not a known field", field=name)
    if said is not None and not isinstance(said, bool):
        raise DomainError("must be true, false, or null (or none)", field=names[0])
    if note is not None and (not isinstance(note, str) or len(note) > MAX_NOTE):
        raise DomainError(f"must be a text of at most {MAX_NOTE} characters", field="note")
    return Said(said, note)


def judge(
    session: WriteSession, principal: Principal, anomaly_id: str, said: Said, now_us: int
) -> Document:
    """Keep what was said. Raises Problem 404."""
    _row(session, principal, anomaly_id)
    values = {
        "is_anomaly": None if said.is_anomaly is None else int(said.is_anomaly),
        "note": said.note,
        "judged_at": None if said.is_anomaly is None else now_us,
        "judged_by": None if said.is_anomaly is None else principal.key_id,
    }
    store.judged(session, principal.organization_id, anomaly_id, values)
    return one(session, principal, anomaly_id)
