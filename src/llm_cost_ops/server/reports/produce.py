"""A report that is pending becomes one that is completed, or failed with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.grants import EVERYWHERE, Reach, parse_conditions
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.core.report.text import to_text
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.analytics.request import home
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import PASSING
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.queue.outbox import Event, publish
from llm_cost_ops.server.reports import store
from llm_cost_ops.server.reports.asked import wanted_of
from llm_cost_ops.server.reports.make import make_report
from llm_cost_ops.server.reports.wire import event_data

MAX_ERROR = 255
TOPIC = "report.generated"


def outcome_of(database: Database, clock: Clock, row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that a stored request ends with. A refusal is an outcome; what may pass, such as
    a database that is down, is raised."""
    who = Principal(
        row["created_by"] or "",
        row["organization_id"],
        frozenset(),
        reach=reach_of(row["limited_to"]),
    )
    body = loads(row["request"])
    try:
        with read(database) as session:
            at = home(session, who, clock.now())
        wanted = wanted_of(body, who, at)
        document = make_report(database, wanted, at, clock.micros())
    except PASSING:
        raise
    except DomainError as error:
        text = " ".join(filter(None, (error.field, error.message)))
        return failed(text, clock.micros())
    except Problem as problem:
        if problem.status >= 500:
            raise
        return failed(_told(problem), clock.micros())
    return {
        "status": store.COMPLETED,
        "document": to_text(document),
        "finished_at": clock.micros(),
    }


def failed(reason: str, now_us: int) -> dict[str, Any]:
    """The columns of a report that cannot be made."""
    return {"status": store.FAILED, "error": reason[:MAX_ERROR], "finished_at": now_us}


def keep(session: WriteSession, row: Mapping[str, Any], outcome: Mapping[str, Any]) -> None:
    """Write the outcome and tell of a report that was made, unless it was cancelled or removed
    meanwhile."""
    organization_id = str(row["organization_id"])
    kept = store.finish(session, organization_id, row["id"], outcome)
    if kept and outcome["status"] == store.COMPLETED:
        event = Event(organization_id, TOPIC, event_data({**row, **outcome}))
        publish(session, [event], now_us=outcome["finished_at"])


def reach_of(limited_to: str | None) -> Reach:
    """The calls that a report may be about."""
    if limited_to is None:
        return EVERYWHERE
    return Reach(tuple(parse_conditions(each) for each in loads(limited_to)))


def _told(problem: Problem) -> str:
    fields = problem.field_errors or {}
    return "; ".join(f"{name} {text}" for name, text in fields.items()) or problem.message
