"""Reports asked for, looked at, cancelled and removed; sections kept for custom ones."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.grants import Reach, conditions_wire
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.core.period import DAY_US
from llm_cost_ops.server.access.deps import own_fields
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.analytics.request import Home, home
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.http.problems import Problem, invalid, not_found
from llm_cost_ops.server.queue.enqueue import NewJob, enqueue
from llm_cost_ops.server.reports import store
from llm_cost_ops.server.reports.asked import MAX_TEXT, Wanted, kept_request, sections_of, wanted_of
from llm_cost_ops.server.reports.jobs import MAKE
from llm_cost_ops.server.reports.produce import reach_of

CHUNK = 200
WAITED_US = 2 * 60 * 1_000_000
"""When a worker makes a report that somebody waits for, should it not be there by then."""
Row = dict[str, Any]


def ask(
    session: WriteSession,
    body: Mapping[str, object],
    principal: Principal,
    actor: Actor,
    *,
    keep_days: int,
    waits: bool,
) -> Row:
    """Store a report to be made, and its job. Raises Problem 403 and 422."""
    named = body.get("template")
    sections = None if named is None else _kept_sections(session, principal, named)
    at = home(session, principal, actor.now)
    wanted, within = wanted_within(body, principal, at, sections)
    row: Row = {
        "id": single_id("rpt", actor.now_us // 1_000, secrets.randbits(80)),
        "organization_id": principal.organization_id,
        "type": wanted.kind,
        "status": store.PENDING,
        "title": wanted.title,
        "format": wanted.form,
        "needs": ",".join(wanted.needs),
        "limited_to": _limits(within),
        "request": dumps(kept_request(body, wanted, sections)),
        "created_by": principal.key_id,
        "created_at": actor.now_us,
        "finished_at": None,
        "expires_at": actor.now_us + keep_days * DAY_US,
        "error": None,
    }
    store.add(session, principal.organization_id, row)
    job = NewJob(
        MAKE,
        {"report_id": row["id"]},
        principal.organization_id,
        run_at=actor.now_us + WAITED_US if waits else None,
    )
    enqueue(session, job, now_us=actor.now_us)
    told = {"type": wanted.kind, "format": wanted.form, "title": wanted.title}
    actor.record(session, "report.generated", "report", row["id"], None, told)
    return row


def wanted_within(
    body: Mapping[str, object], principal: Principal, at: Home, sections: object = None
) -> tuple[Wanted, Principal]:
    """What is asked for, and who asks with no more than all its sections reach. Raises Problem 403
    and 422."""
    wanted = wanted_of(body, principal, at, sections)
    check_needs(principal, wanted.needs)
    within = reach_with(principal, wanted.needs)
    if within == principal.reach:
        return wanted, principal
    limited = replace(principal, reach=within)
    return wanted_of(body, limited, at, sections), limited


def reach_with(principal: Principal, needs: tuple[str, ...]) -> Reach:
    """The calls that what the route demanded and these permissions all reach: a role that gives
    reports of everything does not widen another one that gives the budgets of a team."""
    return principal.reach.narrowed(principal.reach_of(needs))


def check_needs(principal: Principal, needs: tuple[str, ...]) -> None:
    """Raises Problem 403 for a permission that is not held; the audit log, which no condition of a
    role narrows, is for those who reach everything."""
    missing = principal.missing(needs)
    if missing:
        text = f"Missing: {', '.join(missing)}."
        raise Problem(403, "INSUFFICIENT_PERMISSIONS", text)
    reach = reach_with(principal, needs)
    if "read:audit" in needs and not reach.is_everything:
        text = f"Your roles are limited to {reach.text()}."
        raise Problem(403, "INSUFFICIENT_PERMISSIONS", text)


def is_seen(principal: Principal, row: Mapping[str, Any]) -> bool:
    """Whether somebody may read a report: all it shows is theirs to see."""
    needs = tuple(filter(None, str(row["needs"]).split(",")))
    if principal.missing(needs):
        return False
    reach = reach_with(principal, needs)
    if reach.is_everything:
        return True
    limited = reach_of(row["limited_to"])
    return all(reach.covers(scope) for scope in limited.scopes)


def found(session: ReadSession, principal: Principal, report_id: str, *, lock: bool = False) -> Row:
    """A report that is seen. Raises Problem 404."""
    row = store.row(session, principal.organization_id, report_id, lock=lock)
    if row is None or not is_seen(principal, row):
        raise not_found("Report not found")
    return row


def listed(
    session: ReadSession,
    principal: Principal,
    below: str | None,
    *,
    kind: str | None = None,
    status: str | None = None,
) -> Iterator[Row]:
    """Reports that are seen, the newest first."""
    organization_id = principal.organization_id
    while True:
        rows = store.rows(session, organization_id, below, CHUNK, kind=kind, status=status)
        yield from (row for row in rows if is_seen(principal, row))
        if len(rows) < CHUNK:
            return
        below = rows[-1]["id"]


def cancel(session: WriteSession, principal: Principal, report_id: str, actor: Actor) -> Row:
    """Take back a report that is not made yet. Raises Problem 404 and 409."""
    row = found(session, principal, report_id, lock=True)
    if row["status"] != store.PENDING:
        raise Problem(409, "CONFLICT", f"The report is {row['status']} already.")
    values = {"status": store.CANCELLED, "finished_at": actor.now_us}
    store.finish(session, principal.organization_id, report_id, values)
    actor.record(
        session, "report.cancelled", "report", report_id,
        {"status": row["status"]}, {"status": store.CANCELLED},
    )  # fmt: skip
    return {**row, **values}


def remove(session: WriteSession, principal: Principal, report_id: str, actor: Actor) -> None:
    """Remove a report with its content. Raises Problem 404."""
    row = found(session, principal, report_id, lock=True)
    store.remove(session, principal.organization_id, report_id)
    before = {"type": row["type"], "title": row["title"], "status": row["status"]}
    actor.record(session, "report.deleted", "report", report_id, before, None)


def keep_template(
    session: WriteSession, body: Mapping[str, object], principal: Principal, actor: Actor
) -> Row:
    """Keep sections under a name. Raises Problem 409 and 422."""
    fields = own_fields(principal, body)
    name, sections = fields.pop("name", None), fields.pop("sections", None)
    if fields:
        raise Problem(422, "VALIDATION_ERROR", "The request is not valid.",
                      {each[:MAX_TEXT]: "is not a known field" for each in fields})  # fmt: skip
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_TEXT:
        raise invalid("name", f"must have 1 to {MAX_TEXT} characters")
    if not name.isprintable() or name != name.strip():
        raise invalid("name", "must not hold control characters or surrounding spaces")
    try:
        sections_of(sections)
    except DomainError as error:
        raise invalid(error.field or "sections", error.message) from None
    row: Row = {
        "id": single_id("rtp", actor.now_us // 1_000, secrets.randbits(80)),
        "name": name,
        "sections": dumps(sections),
        "created_by": principal.key_id,
        "created_at": actor.now_us,
    }
    if store.template(session, principal.organization_id, name) is not None:
        raise Problem(409, "CONFLICT", "Sections of this name are kept already.")
    if not store.add_template(session, principal.organization_id, row):
        raise Problem(409, "CONFLICT", "Sections of this name are kept already.")
    told = {"name": name, "sections": sections}
    actor.record(session, "report_template.created", "report_template", row["id"], None, told)
    return row


def remove_template(
    session: WriteSession, principal: Principal, template_id: str, actor: Actor
) -> None:
    """Remove kept sections. Raises Problem 404."""
    row = store.template(session, principal.organization_id, template_id)
    if row is None or row["id"] != template_id:
        raise not_found("Report template not found")
    store.remove_template(session, principal.organization_id, template_id)
    before = {"name": row["name"], "sections": loads(row["sections"])}
    actor.record(session, "report_template.deleted", "report_template", template_id, before, None)


def _kept_sections(session: ReadSession, principal: Principal, named: object) -> object:
    row = None
    if isinstance(named, str) and named:
        row = store.template(session, principal.organization_id, named)
    if row is None:
        raise invalid("template", "is not known: name sections that were kept, or their id")
    return loads(row["sections"])


def _limits(principal: Principal) -> str | None:
    """The conditions of who asks, as they are stored; None for who reaches everything."""
    if principal.reach.is_everything:
        return None
    return dumps([conditions_wire(scope) for scope in principal.reach.scopes])
