"""Reads and writes of an organization's own prices."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import ColumnElement, and_, func, or_, select

from llm_cost_ops.core.instant import from_micros, to_micros
from llm_cost_ops.core.pricing.card import Adjustment, RateCard
from llm_cost_ops.core.pricing.regions import EVERYTHING, AdjustmentRule, Patterns
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.identity.tables import providers
from llm_cost_ops.server.pricing.cards import prices_from_json
from llm_cost_ops.server.pricing.tables import deployments, price_adjustments, price_versions

OPERATOR = ""
"""The organization id of prices that the operator of the installation set for everyone."""


Stamp = tuple[object, ...]
"""Differs when prices or deployments were added since, which may price what had no price."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """All of an organization's pricing, and a fingerprint that changes when any of it does."""

    fingerprint: tuple[object, ...]
    stamp: Stamp
    operator_cards: tuple[RateCard, ...]
    cards: tuple[RateCard, ...]
    discounts: tuple[AdjustmentRule, ...]
    deployments: Mapping[tuple[str, str], str]
    providers: frozenset[str]


def load(session: ReadSession, organization_id: str, *, known_at: datetime | None = None) -> Loaded:
    """Everything that changes how this organization's calls are priced.

    With `known_at` only what was recorded until then: prices and discounts as they were known.
    Deployments and custom providers have no history and are today's.
    """
    marked = stamp(session, organization_id)
    rows = versions(session, organization_id, known_at=known_at)
    operator = timelines([row for row in rows if row["organization_id"] == OPERATOR])
    cards = timelines([row for row in rows if row["organization_id"] != OPERATOR])
    discount_rows = _discounts(session, organization_id, known_at)
    names = _deployments(session, organization_id)
    custom = frozenset(
        session.execute(
            select(providers.c.id).where(providers.c.organization_id == organization_id)
        ).scalars()
    )
    fingerprint = (
        tuple((card.id, card.valid_to) for card in (*operator, *cards)),
        tuple(row.adjustment.id for row in discount_rows),
        tuple(sorted(names.items())),
        custom,
    )
    return Loaded(fingerprint, marked, operator, cards, discount_rows, names, custom)


def stamp(session: ReadSession, organization_id: str) -> Stamp:
    """The stamp of what is stored now."""
    table, named = price_versions.c, deployments.c
    prices = select(func.count(), func.max(table.recorded_at)).where(
        table.organization_id.in_([organization_id, OPERATOR])
    )
    names = select(func.count(), func.max(named.created_at)).where(
        named.organization_id == organization_id
    )
    return (*session.execute(prices).one(), *session.execute(names).one())


def timelines(rows: Sequence[Mapping[str, Any]]) -> tuple[RateCard, ...]:
    """The cards that stand. Each version of a price says what holds from its start on, so it cuts
    off whatever earlier versions said about that time."""
    standing: dict[str, list[RateCard]] = {}
    for row in rows:
        card = card_of(row)
        start = from_micros(row["valid_from"])
        kept = [_cut(old, start) for old in standing.get(row["pricing_id"], ())]
        alive = card.valid_to is None or card.valid_to > start
        standing[row["pricing_id"]] = [c for c in kept if c] + ([card] if alive else [])
    return tuple(card for cards in standing.values() for card in cards)


def _cut(card: RateCard, at: datetime) -> RateCard | None:
    if card.valid_from is not None and card.valid_from >= at:
        return None
    return card if card.valid_to and card.valid_to <= at else replace(card, valid_to=at)


def versions(
    session: ReadSession, organization_id: str, *, known_at: datetime | None = None
) -> Sequence[Mapping[str, Any]]:
    """Every price version of the organization and of the operator, those of one price in order."""
    table = price_versions.c
    query = (
        select(price_versions)
        .where(table.organization_id.in_([organization_id, OPERATOR]), *_known(known_at))
        .order_by(table.version, table.recorded_at, table.id)
    )
    return [dict(row) for row in session.execute(query).mappings()]


def latest_versions(
    session: ReadSession, organization_id: str, *, known_at: datetime | None = None
) -> Sequence[Mapping[str, Any]]:
    """The newest version of each price that the organization or the operator set (until then)."""
    table = price_versions.c
    newest = (
        select(table.pricing_id, func.max(table.version).label("version"))
        .where(table.organization_id.in_([organization_id, OPERATOR]), *_known(known_at))
        .group_by(table.pricing_id)
        .subquery()
    )
    query = select(price_versions).join(
        newest,
        and_(table.pricing_id == newest.c.pricing_id, table.version == newest.c.version),
    )
    return [
        dict(row)
        for row in session.execute(query.order_by(table.provider, table.model, table.id)).mappings()
    ]


def _known(known_at: datetime | None) -> tuple[ColumnElement[bool], ...]:
    if known_at is None:
        return ()
    return (price_versions.c.recorded_at <= to_micros(known_at),)


def history(
    session: ReadSession,
    organization_id: str,
    pricing_id: str,
    *,
    known_at: datetime | None = None,
) -> Sequence[Mapping[str, Any]]:
    """All versions of one price that the organization can see, oldest first."""
    table = price_versions.c
    query = (
        select(price_versions)
        .where(
            table.pricing_id == pricing_id,
            table.organization_id.in_([organization_id, OPERATOR]),
            *_known(known_at),
        )
        .order_by(table.version)
    )
    return [dict(row) for row in session.execute(query).mappings()]


def parsed(value: Any) -> Any:
    """A JSON column as a value with exact numbers."""
    return None if value is None else json.loads(value, parse_float=Decimal)


def card_id(row: Mapping[str, Any]) -> str:
    """Names one version of a price; what it rated keeps this name."""
    return f"{row['pricing_id']}@{row['version']}"


def card_of(row: Mapping[str, Any]) -> RateCard:
    """The rate card of one price version."""
    operator = row["organization_id"] == OPERATOR
    return RateCard(
        card_id(row),
        row["provider"],
        row["model"],
        prices_from_json(parsed(row["prices"])),
        currency=row["currency"],
        region=row["region"],
        service_tier=row["service_tier"],
        processing=row["processing"],
        valid_from=from_micros(row["valid_from"]),
        valid_to=None if row["valid_to"] is None else from_micros(row["valid_to"]),
        structure=cast("Mapping[str, object] | None", parsed(row["structure"])),
        source="operator" if operator else "organization",
        source_version=str(row["version"]),
        recorded_at=from_micros(row["recorded_at"]),
    )


def _discounts(
    session: ReadSession, organization_id: str, known_at: datetime | None
) -> tuple[AdjustmentRule, ...]:
    table = price_adjustments.c
    query = (
        select(price_adjustments)
        .where(table.organization_id == organization_id)
        .order_by(table.position, table.id)
    )
    if known_at is None:
        query = query.where(table.removed_at.is_(None))
    else:
        at = to_micros(known_at)
        query = query.where(
            table.recorded_at <= at, or_(table.removed_at.is_(None), table.removed_at > at)
        )
    return tuple(discount_of(dict(row)) for row in session.execute(query).mappings())


def discount_of(row: Mapping[str, Any]) -> AdjustmentRule:
    """One stored discount; without a model it holds for every model, `*` stands for any text."""
    kinds = parsed(row["kinds"])
    adjustment = Adjustment(
        row["id"],
        row["label"],
        Decimal(row["factor"]),
        None if kinds is None else frozenset(kinds),
        "contract",
    )
    return AdjustmentRule(
        adjustment,
        provider=row["provider"],
        models=Patterns.of([row["model"]]) if row["model"] else EVERYTHING,
        valid_from=from_micros(row["valid_from"]),
        valid_to=None if row["valid_to"] is None else from_micros(row["valid_to"]),
    )


def _deployments(session: ReadSession, organization_id: str) -> dict[tuple[str, str], str]:
    table = deployments.c
    query = select(table.provider, table.deployment, table.model).where(
        table.organization_id == organization_id
    )
    return {(row.provider, row.deployment.lower()): row.model for row in session.execute(query)}
