"""What an organization negotiated or named itself: discounts and deployments."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import delete, func, insert, select, update

from llm_cost_ops.core.errors import PricingError
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.instant import format_micros, parse_end, parse_instant, to_micros
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.money import parse_decimal, plain
from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.core.usage import KINDS
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.pricing import store
from llm_cost_ops.server.pricing.manage import PriceUnknown, text_field
from llm_cost_ops.server.pricing.tables import deployments, price_adjustments
from llm_cost_ops.server.pricing.told import tell

MAX_ADJUSTMENTS = 200
_ADJUSTMENT_FIELDS = frozenset(
    {
        "label",
        "provider",
        "model",
        "kinds",
        "factor",
        "discount_percent",
        "position",
        "effective_date",
        "end_date",
    }
)


def adjustments(session: ReadSession, organization_id: str) -> dict[str, Any]:
    """All standing discounts in the order in which they apply."""
    table = price_adjustments.c
    query = (
        select(price_adjustments)
        .where(table.organization_id == organization_id, table.removed_at.is_(None))
        .order_by(table.position, table.id)
    )
    rows = [_adjustment_wire(dict(row)) for row in session.execute(query).mappings()]
    return {"data": rows, "has_more": False, "next_cursor": None}


def add_adjustment(
    session: WriteSession, body: Mapping[str, object], actor: Actor
) -> dict[str, Any]:
    """A discount as a `factor` or a `discount_percent`. Raises PricingError."""
    for name in body:
        if name not in _ADJUSTMENT_FIELDS:
            raise PricingError("is not a known field", field=name)
    table = price_adjustments.c
    standing = session.execute(
        select(func.count().label("number"), func.max(table.position).label("last")).where(
            table.organization_id == actor.organization_id, table.removed_at.is_(None)
        )
    ).one()
    count, last = int(standing.number), int(standing.last or 0)
    if count >= MAX_ADJUSTMENTS:
        raise PricingError(f"at most {MAX_ADJUSTMENTS} discounts can stand at once", field="label")
    kinds = _kinds(body.get("kinds"))
    row: dict[str, Any] = {
        "id": single_id("adj", actor.now_us // 1_000, secrets.randbits(80)),
        "organization_id": actor.organization_id,
        "position": _position(body.get("position"), last + 1),
        "label": text_field(body, "label"),
        "provider": _provider(body),
        "model": _lower(body, "model") if body.get("model") else None,
        "kinds": None if kinds is None else dumps(kinds),
        "factor": plain(_factor(body)),
        **_validity(body, actor),
        "recorded_at": actor.now_us,
        "removed_at": None,
        "recorded_by": actor.actor_id,
    }
    session.execute(insert(price_adjustments).values(**row))
    shown = _adjustment_wire(row)
    _audit(session, actor, "pricing.adjustment_created", row["id"], None, shown)
    return shown


def remove_adjustment(session: WriteSession, adjustment_id: str, actor: Actor) -> dict[str, Any]:
    """Take a discount out of force. Raises PriceUnknown."""
    table = price_adjustments.c
    standing = (table.organization_id == actor.organization_id, table.removed_at.is_(None))
    query = select(price_adjustments).where(table.id == adjustment_id, *standing)
    row = session.execute(query).mappings().one_or_none()
    if row is None:
        raise PriceUnknown("Adjustment not found")
    session.execute(
        update(price_adjustments)
        .where(table.id == adjustment_id, *standing)
        .values(removed_at=actor.now_us)
    )
    before = _adjustment_wire(dict(row))
    _audit(session, actor, "pricing.adjustment_removed", adjustment_id, before, None)
    return {"id": adjustment_id}


def deployments_of(session: ReadSession, organization_id: str) -> dict[str, Any]:
    """All deployment names of the organization."""
    table = deployments.c
    query = (
        select(deployments)
        .where(table.organization_id == organization_id)
        .order_by(table.provider, table.deployment)
    )
    rows = [_deployment_wire(dict(row)) for row in session.execute(query).mappings()]
    return {"data": rows, "has_more": False, "next_cursor": None}


def set_deployment(
    session: WriteSession, body: Mapping[str, object], actor: Actor
) -> dict[str, Any]:
    """Map a deployment to a model, or with `model` null remove the mapping. Raises PricingError."""
    for name in body:
        if name not in ("provider", "deployment", "model", "region"):
            raise PricingError("is not a known field", field=name)
    provider = _provider(body) or "azure"
    deployment = _lower(body, "deployment")
    table = deployments.c
    session.execute(
        delete(deployments).where(
            table.organization_id == actor.organization_id,
            table.provider == provider,
            table.deployment == deployment,
        )
    )
    row = {
        "organization_id": actor.organization_id,
        "provider": provider,
        "deployment": deployment,
        "model": text_field(body, "model") if body.get("model") is not None else None,
        "region": text_field(body, "region") if body.get("region") else None,
        "created_at": actor.now_us,
    }
    if row["model"] is not None:
        session.execute(insert(deployments).values(**row))
    shown = _deployment_wire(row)
    _audit(session, actor, "pricing.deployment_set", f"{provider}/{deployment}", None, shown)
    return shown


def _kinds(value: object) -> list[str] | None:
    if value is None:
        return None
    kinds = cast("list[object]", value) if isinstance(value, list) else []
    if not kinds:
        raise PricingError("must be a list of usage kinds", field="kinds")
    for kind in kinds:
        if not isinstance(kind, str) or kind not in KINDS:
            raise PricingError("must be a list of usage kinds", field="kinds")
    return sorted(cast("list[str]", kinds))


def _position(value: object, default: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**9:
        raise PricingError("must be an integer of at least 0", field="position")
    return value


def _provider(body: Mapping[str, object]) -> str | None:
    if not body.get("provider"):
        return None
    name = text_field(body, "provider")
    return provider_id(name) or name


def _lower(body: Mapping[str, object], name: str) -> str:
    """A name in lower case, in which some letters are two."""
    lowered = text_field(body, name).lower()
    return text_field({name: lowered}, name)


def _factor(body: Mapping[str, object]) -> Decimal:
    factor, percent = body.get("factor"), body.get("discount_percent")
    if (factor is None) == (percent is None):
        raise PricingError("is required, or discount_percent, but not both", field="factor")
    if percent is not None:
        number = parse_decimal(percent, "discount_percent")
        if not 0 < number <= 100:
            raise PricingError("must be above 0 and at most 100", field="discount_percent")
        return 1 - number / 100
    number = parse_decimal(factor, "factor")
    if not 0 <= number <= 100:
        raise PricingError("must be between 0 and 100", field="factor")
    return number


def _validity(body: Mapping[str, object], actor: Actor) -> dict[str, Any]:
    start, end_date = body.get("effective_date"), body.get("end_date")
    valid_from = actor.now if start is None else parse_instant(start, "effective_date")
    valid_to = None if end_date is None else parse_end(end_date)
    if valid_to is not None and valid_to <= valid_from:
        raise PricingError("must be after effective_date", field="end_date")
    return {
        "valid_from": to_micros(valid_from),
        "valid_to": None if valid_to is None else to_micros(valid_to),
    }


def _adjustment_wire(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "position": row["position"],
        "label": row["label"],
        "provider": row["provider"],
        "model": row["model"],
        "kinds": store.parsed(row["kinds"]),
        "factor": Decimal(row["factor"]),
        "effective_date": format_micros(row["valid_from"]),
        "end_date": None if row["valid_to"] is None else format_micros(row["valid_to"]),
    }


def _deployment_wire(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("provider", "deployment", "model", "region")
    return {name: row[name] for name in names}


def _audit(
    session: WriteSession,
    actor: Actor,
    action: str,
    resource_id: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> None:
    actor.record(session, action, "pricing", resource_id, before, after)
    shown = after or before or {}
    tell(session, actor.organization_id, action, resource_id, shown, now_us=actor.now_us)
