"""FOCUS rows for tests: calls that were rated for real, and the rules that a row has to keep.

The rules are those that hold for every row, from the chapters of the columns (nullability, allowed
values, products); a dataset that breaks one is refused by the public validator too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.focus.calls import FocusCall
from llm_cost_ops.core.focus.columns import DATETIME, DECIMAL, JSON, Column, columns_of
from llm_cost_ops.core.focus.rows import Row
from llm_cost_ops.core.focus.text import value_text
from llm_cost_ops.core.pricing.card import Adjustment, KindPrice, RateCard
from llm_cost_ops.core.pricing.rate import CompiledRate
from llm_cost_ops.core.usage import Quantity

OCCURRED = 1_795_788_305_123_456
"""2026-11-27T14:05:05.123456Z."""
OCCURRED_HOUR = 1_795_788_000_000_000

_NUMBER = re.compile(r"-?[0-9]+\.[0-9]+", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


def focus_call(**changes: Any) -> FocusCall:
    """A call of one million input tokens at 2.50 USD with nothing reported but what must be."""
    values: dict[str, Any] = {
        "id": "call_1",
        "occurred_us": OCCURRED,
        "provider": "openai",
        "model": "gpt-5",
        "currency": "USD",
        "organization_id": "org_1",
        "organization_name": "Acme",
        "cost_e10": 25_000_000_000,
        "cost_status": "priced",
    }
    return FocusCall(**{**values, **changes})


def rated_call(
    usage: dict[str, Quantity],
    prices: Mapping[str, tuple[str, int]],
    adjustments: Sequence[Adjustment] = (),
    **changes: Any,
) -> FocusCall:
    """A call with the cost and the lines that rating it gives."""
    card = RateCard(
        "card",
        "openai",
        "gpt-5",
        {kind: KindPrice(Decimal(price), per) for kind, (price, per) in prices.items()},
    )
    rate = CompiledRate(card, adjustments)
    rated = rate.rate(usage)
    at_list = [adjustment for adjustment in adjustments if adjustment.scope == "list"]
    values = {
        "cost_e10": rated.cost_e10,
        "list_cost_e10": rated.list_cost_e10,
        "cost_status": rated.status,
        "lines": rated.lines,
        "list_lines": CompiledRate(card, at_list).rate(usage).lines if rate.has_contract else (),
        "usage": tuple((kind, usage[kind]) for kind in rated.missing if kind in usage),
        "requests": int(usage.get("requests", 1)),
    }
    return focus_call(**{**values, **changes})


def sum_of(rows: Iterable[Row], column: str) -> Decimal:
    """The sum of a column without its nulls, exact."""
    return sum((value for row in rows if isinstance(value := row[column], Decimal)), Decimal(0))


def violations(row: Row, version: str) -> list[str]:
    """What in a row is not as the specification wants it."""
    found = [fault for column in columns_of(version) for fault in _of_value(column, row)]
    present = {column.name for column in columns_of(version)}
    for name, needs, rule in RULES:
        if needs <= present and not rule(row):
            found.append(name)
    return found


def _of_value(column: Column, row: Row) -> Iterator[str]:
    value = row[column.name]
    if value is None:
        if not column.nullable:
            yield f"{column.name} is null"
        return
    text = value_text(value)
    if column.type == DECIMAL:
        if not isinstance(value, Decimal) or not _NUMBER.fullmatch(text):
            yield f"{column.name} is not a decimal: {text}"
    elif column.type == DATETIME:
        if isinstance(value, bool) or not isinstance(value, int) or not _INSTANT.fullmatch(text):
            yield f"{column.name} is not an instant: {text}"
    elif not isinstance(value, str) or not value.strip():
        yield f"{column.name} is not a text"
    elif column.type == JSON and not _is_object(value):
        yield f"{column.name} is not an object"
    elif column.allowed and value not in column.allowed:
        yield f"{column.name} may not be {value}"


def _is_object(text: str) -> bool:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    return isinstance(json.loads(text, object_pairs_hook=unique), dict)


def _together(*names: str) -> Callable[[Row], bool]:
    return lambda row: len({row[name] is None for name in names}) == 1


def _product(price: str, cost: str) -> Callable[[Row], bool]:
    def holds(row: Row) -> bool:
        if row[price] is None or row["PricingQuantity"] is None or row["ChargeClass"] is not None:
            return True
        product = Decimal(str(row[price])) * Decimal(str(row["PricingQuantity"]))
        difference = abs(Decimal(str(row[cost])) - product)
        return difference <= Decimal("1e-9") * max(abs(product), Decimal(1))

    return holds


def _priced_if_used(name: str) -> Callable[[Row], bool]:
    """Usage and purchases have it, unless they correct a closed period."""

    def holds(row: Row) -> bool:
        must = row["ChargeCategory"] in ("Usage", "Purchase") and row["ChargeClass"] is None
        return row[name] is not None or not must

    return holds


def _consumed(row: Row) -> bool:
    if row["ChargeCategory"] != "Usage" or row["CommitmentDiscountStatus"] == "Unused":
        return row["ConsumedQuantity"] is None
    return row["ConsumedQuantity"] is not None or row["ChargeClass"] is not None


def _resource_name(row: Row) -> bool:
    name, identifier = row["ResourceName"], row["ResourceId"]
    return name is None or (identifier is not None and name != identifier)


def _committed_quantity(row: Row) -> bool:
    is_used = row["ChargeCategory"] in ("Usage", "Purchase") and row["ChargeClass"] is None
    must = row["CommitmentDiscountId"] is not None and is_used
    return (row["CommitmentDiscountQuantity"] is not None) == must


def _commitment_status(row: Row) -> bool:
    must = row["CommitmentDiscountId"] is not None and row["ChargeCategory"] == "Usage"
    return (row["CommitmentDiscountStatus"] is not None) == must


def _not_negative(name: str) -> Callable[[Row], bool]:
    def holds(row: Row) -> bool:
        value = row[name]
        return not isinstance(value, Decimal) or value >= 0

    return holds


def _plain_values(name: str, *, own_keys: bool = False) -> Callable[[Row], bool]:
    def holds(row: Row) -> bool:
        text = row[name]
        if text is None:
            return True
        pairs = json.loads(str(text))
        plain = not any(isinstance(value, dict | list) for value in pairs.values())
        return plain and (not own_keys or all(key.startswith("x_") for key in pairs))

    return holds


def _rule(
    name: str, rule: Callable[[Row], bool], *needs: str
) -> tuple[str, frozenset[str], Callable[[Row], bool]]:
    return name, frozenset(needs), rule


RULES = (
    _rule("pricing quantity and unit", _together("PricingQuantity", "PricingUnit")),
    _rule("consumed quantity and unit", _together("ConsumedQuantity", "ConsumedUnit")),
    _rule("consumed quantity", _consumed),
    _rule("sku and meter", _together("SkuId", "SkuMeter", "SkuPriceId")),
    _rule("sub account", _together("SubAccountId", "SubAccountName", "SubAccountType")),
    _rule("region", _together("RegionId", "RegionName")),
    _rule("resource", _together("ResourceId", "ResourceType")),
    _rule("resource name", _resource_name),
    _rule("list product", _product("ListUnitPrice", "ListCost")),
    _rule("contracted product", _product("ContractedUnitPrice", "ContractedCost")),
    *(
        _rule(f"{name} of usage", _priced_if_used(name))
        for name in (
            "PricingQuantity", "PricingCategory", "SkuId", "SkuPriceId", "ListUnitPrice",
            "ContractedUnitPrice", "PricingCurrencyListUnitPrice",
            "PricingCurrencyContractedUnitPrice",
        )
    ),
    *(
        _rule(f"{name} is negative", _not_negative(name))
        for name in (
            "ListUnitPrice", "ContractedUnitPrice", "PricingCurrencyListUnitPrice",
            "PricingCurrencyContractedUnitPrice",
        )
    ),
    _rule("tags", _plain_values("Tags")),
    _rule("sku price details", _plain_values("SkuPriceDetails", own_keys=True)),
    _rule(
        "details without sku",
        lambda row: row["SkuPriceDetails"] is None or row["SkuPriceId"] is not None,
    ),
    _rule(
        "commitment",
        _together(
            "CommitmentDiscountId", "CommitmentDiscountName", "CommitmentDiscountType",
            "CommitmentDiscountCategory",
        ),
    ),
    _rule("commitment status", _commitment_status),
    _rule("commitment quantity", _committed_quantity),
    _rule(
        "frequency of a purchase",
        lambda row: (row["ChargeCategory"], row["ChargeFrequency"]) != ("Purchase", "Usage-Based"),
    ),
    _rule(
        "committed",
        lambda row: (row["PricingCategory"] == "Committed")
        == (row["ChargeCategory"] == "Usage" and row["CommitmentDiscountId"] is not None),
    ),
    _rule(
        "charge period",
        lambda row: str(row["ChargePeriodStart"]) < str(row["ChargePeriodEnd"]),
    ),
    _rule(
        "billing period",
        lambda row: str(row["BillingPeriodStart"]) < str(row["BillingPeriodEnd"]),
    ),
)  # fmt: skip
