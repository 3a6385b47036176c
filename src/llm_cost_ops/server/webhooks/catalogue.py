"""The events that can be wanted: their names, other names that are read, and what their data is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

EVERYTHING = "*"
PING = "webhook.test"
DISABLED = "webhook.disabled"
RESTORED = "webhook.restored"
"""What other rooms are told, and no endpoint: one that had been disabled by itself was enabled or
removed."""
_TEXT: Schema = {"type": "string"}
_MAYBE: Schema = {"type": ["string", "null"]}
_MONEY: Schema = {"type": ["number", "null"], "description": "Exact digits; null is unknown."}
_COUNT: Schema = {"type": "integer"}
_INSTANT: Schema = {"type": ["string", "null"], "format": "date-time"}


def _object(required: str, **properties: Schema) -> Schema:
    return {"type": "object", "required": required.split(), "properties": properties}


_CALL = _object(
    "id cost currency provider model timestamp",
    id={"type": "string", "description": "Id of the call (usg_..)."},
    cost=_MONEY,
    currency=_TEXT,
    cost_status={"enum": ["priced", "partially_priced", "unpriced", "voided"]},
    provider=_TEXT,
    model=_TEXT,
    prompt_tokens=_COUNT,
    completion_tokens=_COUNT,
    total_tokens=_COUNT,
    cached_tokens=_COUNT,
    requests=_COUNT,
    project_id=_MAYBE,
    team_id=_MAYBE,
    user_id=_MAYBE,
    environment=_MAYBE,
    feature=_MAYBE,
    source=_TEXT,
    event_id=_TEXT,
    timestamp=_INSTANT,
    tags={"type": "array", "items": _TEXT},
    metadata={"type": "object"},
    truncated={"type": "boolean", "description": "Tags and metadata were too large and left out."},
)
_BUDGET = _object(
    "budget_id budget_name utilization spent currency",
    budget_id=_TEXT,
    budget_name=_TEXT,
    enforcement=_TEXT,
    currency=_TEXT,
    amount=_MONEY,
    spent=_MONEY,
    requests=_COUNT,
    tokens=_COUNT,
    utilization={"type": "number", "description": "The used fraction of the limit; 1 is all."},
    threshold={"type": "number", "description": "The fraction that was reached."},
    period_start=_INSTANT,
    period_end=_INSTANT,
)
_PERIOD = _object(
    "period requests unpriced_count total_tokens totals sha256",
    period={"type": "string", "description": "The month, such as 2026-10."},
    requests=_COUNT,
    unpriced_count=_COUNT,
    total_tokens=_COUNT,
    totals={
        "type": "array",
        "items": _object("currency total_cost", currency=_TEXT, total_cost=_MONEY),
    },
    sha256=_MAYBE,
)
_ANOMALY = _object(
    "anomaly_id date dimension value actual_cost expected_cost lower upper severity score",
    anomaly_id=_TEXT,
    organization_id=_TEXT,
    date={"type": "string", "description": "The day, or the instant at which the hour begins."},
    frequency=_TEXT,
    dimension={"type": "string", "description": "`total` of the organization, or what it is of."},
    value=_TEXT,
    currency=_TEXT,
    actual_cost=_MONEY,
    expected_cost=_MONEY,
    lower=_MONEY,
    upper=_MONEY,
    severity=_TEXT,
    score={"type": "number"},
    method=_TEXT,
    period_start=_INSTANT,
    period_end=_INSTANT,
    parent_id=_MAYBE,
    causes={"type": ["object", "null"], "description": "What the jump comes from, in its parts."},
)
_FORECAST = _object(
    "forecast_id model frequency horizon currency confidence_level total",
    forecast_id=_TEXT,
    organization_id=_TEXT,
    model=_TEXT,
    frequency=_TEXT,
    horizon={"type": "integer", "description": "Steps of the frequency."},
    currency=_TEXT,
    confidence_level={"type": "number"},
    total=_object(
        "predicted_cost lower_bound upper_bound",
        predicted_cost=_MONEY,
        lower_bound=_MONEY,
        upper_bound=_MONEY,
    ),
)
_REPORT = _object(
    "report_id type title format download_url",
    report_id=_TEXT,
    type=_TEXT,
    title=_TEXT,
    format=_TEXT,
    download_url={"type": "string", "description": "The path of the report, for who may read it."},
    expires_at=_INSTANT,
)
_PRICE = _object(
    "id provider model action",
    id=_TEXT,
    version=_COUNT,
    provider={**_MAYBE, "description": "Null for a contract about all of them."},
    model=_MAYBE,
    currency=_MAYBE,
    effective_date=_INSTANT,
    end_date=_INSTANT,
    action=_TEXT,
)
_EXPORT = _object(
    "export_id status type format rows size_bytes",
    export_id={"type": "string", "description": "Of an ordered export, or of a scheduled run."},
    status={"enum": ["completed", "failed"]},
    type=_TEXT,
    format=_TEXT,
    rows={"type": ["integer", "null"], "description": "Null where they are not counted."},
    size_bytes={"type": ["integer", "null"]},
    sha256=_MAYBE,
    totals={"type": "array", "items": {"type": "object"}},
    reason=_MAYBE,
    download_url={**_MAYBE, "description": "The path of the file, for who may export."},
    expires_at=_INSTANT,
    schedule_id={**_MAYBE, "description": "Of a scheduled export, as what follows."},
    schedule={**_MAYBE, "description": "The name of the schedule."},
    file={**_MAYBE, "description": "The name of the file."},
    period_start=_INSTANT,
    period_end=_INSTANT,
    facts={"type": "object", "description": "What messages say of the file."},
    deliveries={"type": "array", "items": {"type": "object"}},
)
_OPERATIONAL = _object(
    "webhook_id url reason", webhook_id=_TEXT, url=_TEXT, reason=_TEXT, failing_since=_INSTANT
)


@dataclass(frozen=True, slots=True)
class EventKind:
    """A kind of event. `published` says whether this release has a source of it."""

    name: str
    description: str
    data: Schema
    aliases: Sequence[str] = ()
    published: bool = True


EVENTS: Mapping[str, EventKind] = {
    kind.name: kind
    for kind in (
        EventKind(
            "usage.submitted",
            "A call was recorded, priced or not.",
            _CALL,
            ("usage.created", "usage.recorded"),
        ),
        EventKind(
            "cost.created",
            "A call has its first cost: when it was recorded, or when a price for it came later.",
            _CALL,
            ("costs.created",),
        ),
        EventKind(
            "cost.updated",
            "The cost or the labels of a call changed; the data is the call as it is now.",
            _CALL,
            ("costs.updated",),
        ),
        EventKind(
            "cost.deleted",
            "A call was taken back; `cost` is what was taken back.",
            _CALL,
            ("costs.deleted",),
        ),
        EventKind(
            "budget.threshold_exceeded",
            "A threshold of a budget was reached, once a period.",
            _BUDGET,
            ("budget.threshold", "budget.threshold.reached", "budget.threshold_reached",
             "budget.alert"),
        ),
        EventKind(
            "budget.exceeded",
            "A budget was exceeded, once a period.",
            _BUDGET,
            ("budget.limit_exceeded", "budget.limit.exceeded"),
        ),
        EventKind(
            "cost.anomaly_detected",
            "A cost is not as it should have been.",
            _ANOMALY,
            ("cost.anomaly", "cost.anomaly.detected", "forecast.anomaly_detected",
             "anomaly.detected"),
        ),
        EventKind(
            "pricing.updated",
            "A price or contract of the organization was set, changed or ended.",
            _PRICE,
            ("pricing.changed", "price.updated"),
        ),
        EventKind(
            "forecast.generated", "A forecast was made.", _FORECAST, ("forecast.created",)
        ),
        EventKind(
            "export.completed",
            "An ordered export is made and can be fetched, or a scheduled one was delivered.",
            _EXPORT,
            ("export.created",),
        ),
        EventKind(
            "export.failed",
            "An ordered or scheduled export could not be made, or not be delivered.",
            _EXPORT,
        ),
        EventKind(
            "report.generated",
            "A report was made and can be fetched.",
            _REPORT,
            ("report.created",),
        ),
        EventKind(
            "period.closed",
            "A month was closed, and its books are stored.",
            _PERIOD,
            ("periods.closed",),
        ),
        EventKind(
            "period.reopened",
            "The last closed month was opened again; the data is what its books said.",
            _PERIOD,
            ("periods.reopened",),
        ),
        EventKind(
            DISABLED,
            "An endpoint was disabled because it failed for five days or answered 410; told to "
            "the other endpoints.",
            _OPERATIONAL,
        ),
    )
}  # fmt: skip
_CANONICAL: Mapping[str, str] = {
    spelling: kind.name for kind in EVENTS.values() for spelling in (kind.name, *kind.aliases)
}


def canonical(spelling: str) -> str | None:
    """The event that a name means, `*` for all of them, or None."""
    return EVERYTHING if spelling == EVERYTHING else _CANONICAL.get(spelling)


def spellings(registered: Sequence[str]) -> dict[str, str]:
    """Events by their canonical names, each as an endpoint that registered these names spells it;
    with `*` all others under their own."""
    found: dict[str, str] = {}
    for name in registered:
        meant = canonical(name)
        if meant == EVERYTHING:
            found = {**{each: each for each in EVENTS}, **found}
        elif meant is not None:
            found[meant] = name
    return found
