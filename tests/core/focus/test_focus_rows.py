"""Calls as rows: one per billed kind, stable SKUs, and costs that sum to the call's cost."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.core.focus.calls import FocusCall, reversal_of
from llm_cost_ops.core.focus.columns import VERSIONS, FocusError
from llm_cost_ops.core.focus.rows import Row, rows_of
from llm_cost_ops.core.instant import parse_instant, to_micros
from llm_cost_ops.core.money import to_e10
from llm_cost_ops.core.pricing.card import Adjustment, RateCard
from llm_cost_ops.core.pricing.rate import CompiledRate, Line
from tests.support.focus import OCCURRED_HOUR, focus_call, rated_call, sum_of, violations

HOUR = 3_600_000_000
PRICES = {
    "input_tokens": ("2.50", 1_000_000),
    "cache_read_tokens": ("0.25", 1_000_000),
    "cache_write_1h_tokens": ("5", 1_000_000),
    "output_tokens": ("0.01", 1000),
    "output_reasoning_tokens": ("0.01", 1000),
    "web_searches": ("10", 1000),
    "audio_seconds": ("0.006", 60),
    "requests": ("0.0001", 1),
}
USAGE = {
    "input_tokens": 1_500_000,
    "cache_read_tokens": 300_000,
    "cache_write_1h_tokens": 200_000,
    "output_tokens": 2001,
    "output_reasoning_tokens": 501,
    "web_searches": 3,
    "audio_seconds": Decimal("90.5"),
    "requests": 1,
}
FULL: dict[str, Any] = {
    "region": "eu-west-1",
    "service_tier": "priority",
    "processing": "batch",
    "context_tier": "lt200k",
    "meters_cache": True,
    "project_id": "proj_1",
    "project_name": "Search",
    "team": "Plattform",
    "user": "usr_9",
    "cost_center": "4711",
    "environment": "production",
    "feature": "chat",
    "credential_id": "key_1",
    "credential_name": "Build",
    "tags": {"b": 1, "a": "é", "c": True, "d": None, "e": {"x": [1]}, "f": [1]},
    "metadata": {"trace": "t1"},
    "price_version": "2026-11",
    "price_rule": "exact",
    "invoice_id": "inv_1",
}


def _by_kind(rows: list[Row]) -> dict[object, Row]:
    return {row["x_TokenKind"]: row for row in rows}


MILLION_TOKENS = Line("input_tokens", 10**6, Decimal("2.5"), 10**6, Decimal("2.5"))
CALLS: dict[str, FocusCall] = {
    "least": focus_call(lines=(MILLION_TOKENS,)),
    "full": rated_call(dict(USAGE), PRICES, **FULL),
    "contract": rated_call(
        dict(USAGE), PRICES, [Adjustment("deal", "Deal", Decimal("0.9"), None, "contract")], **FULL
    ),
    "free": rated_call({"input_tokens": 5}, {"input_tokens": ("0", 1)}),
    "cost alone": focus_call(),
    "negative cost alone": focus_call(cost_e10=-5, requests=0),
    "unpriced": focus_call(cost_e10=None, cost_status="unpriced", usage=(("input_tokens", 7),)),
    "unpriced without usage": focus_call(cost_e10=None, cost_status="unpriced"),
    "partly": rated_call({"input_tokens": 7, "output_images": 2}, {"input_tokens": ("1", 10**6)}),
    "included": focus_call(usage=(("input_tokens", 70), ("output_tokens", 7))),
    "euro": rated_call(dict(USAGE), PRICES, currency="EUR", organization_name=None),
    "reversal": reversal_of(rated_call(dict(USAGE), PRICES, **FULL)),
    "closed": reversal_of(rated_call(dict(USAGE), PRICES, corrects_closed=True, **FULL)),
    "closed amount": focus_call(
        cost_e10=-12, requests=0, is_correction=True, corrects_closed=True
    ),
    "unknown seller": rated_call(
        {"input_tokens": 9}, PRICES, provider="acme/inference", model="ünï/model v1",
        tags=["beta", "alpha"], credential_id="key_1", credential_name="key_1",
        invoice_issuer="Market", project_id="p",
    ),
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CALLS)
def test_every_row_keeps_the_rules_of_every_version(name: str, version: str) -> None:
    for row in rows_of(CALLS[name]):
        assert violations(row, version) == []


@pytest.mark.parametrize("name", CALLS)
def test_costs_sum_to_the_call_and_calls_are_counted_once(name: str) -> None:
    call = CALLS[name]
    rows = rows_of(call)
    cost = call.cost_e10 or 0
    list_cost = cost if call.list_cost_e10 is None else call.list_cost_e10
    assert to_e10(sum_of(rows, "BilledCost")) == cost
    assert to_e10(sum_of(rows, "ContractedCost")) == cost
    assert to_e10(sum_of(rows, "EffectiveCost")) == cost
    assert to_e10(sum_of(rows, "ListCost")) == list_cost
    assert sum_of(rows, "x_RequestCount") == call.requests


def test_each_kind_is_a_sku_with_its_own_units() -> None:
    rows = _by_kind(rows_of(rated_call(dict(USAGE), PRICES)))
    seen = {
        kind: (
            row["SkuMeter"], row["ConsumedQuantity"], row["ConsumedUnit"],
            row["PricingQuantity"], row["PricingUnit"], row["ListUnitPrice"],
        )
        for kind, row in rows.items()
    }  # fmt: skip
    assert seen == {
        "input_tokens": (
            "Input Tokens", 1_000_000, "Tokens", 1, "1000000 Tokens", Decimal("2.5"),
        ),
        "cache_read_tokens": (
            "Cache Read Input Tokens", 300_000, "Tokens", Decimal("0.3"), "1000000 Tokens",
            Decimal("0.25"),
        ),
        "cache_write_1h_tokens": (
            "Cache Write Input Tokens (1h)", 200_000, "Tokens", Decimal("0.2"), "1000000 Tokens", 5,
        ),
        "output_tokens": (
            "Output Tokens", 1500, "Tokens", Decimal("0.0015"), "1000000 Tokens", 10,
        ),
        "output_reasoning_tokens": (
            "Reasoning Output Tokens", 501, "Tokens", Decimal("0.000501"), "1000000 Tokens", 10,
        ),
        "web_searches": ("Web Searches", 3, "Searches", Decimal("0.003"), "1000 Searches", 10),
        "audio_seconds": (
            "Audio Seconds", Decimal("90.5"), "Seconds", Decimal("90.5"), "Seconds",
            Decimal("0.0001"),
        ),
        "requests": ("Requests", 1, "Requests", 1, "Requests", Decimal("0.0001")),
    }  # fmt: skip


def test_directions_and_cache_actions_are_those_of_the_draft() -> None:
    rows = _by_kind(rows_of(rated_call(dict(USAGE), PRICES, meters_cache=True)))
    seen = {k: (r["x_TokenDirection"], r["x_TokenCacheAction"]) for k, r in rows.items()}
    assert seen == {
        "input_tokens": ("Input", "Uncached"),
        "cache_read_tokens": ("Input", "Read"),
        "cache_write_1h_tokens": ("Input", "Write"),
        "output_tokens": ("Output", None),
        "output_reasoning_tokens": ("Output", None),
        "web_searches": (None, None),
        "audio_seconds": (None, None),
        "requests": (None, None),
    }
    alone = rows_of(rated_call({"input_tokens": 1}, PRICES))[0]
    assert alone["x_TokenCacheAction"] is None
    assert rows["cache_write_1h_tokens"]["x_CacheLifetime"] == "1h"


def test_sku_and_price_say_what_is_sold_and_not_for_how_much() -> None:
    row = _by_kind(rows_of(CALLS["full"]))["input_tokens"]
    assert row["SkuId"] == "openai/gpt-5/input"
    assert row["SkuPriceId"] == "openai/gpt-5/input/priority/batch/eu-west-1/lt200k"
    assert json.loads(str(row["SkuPriceDetails"])) == {
        "x_ContextTier": "lt200k",
        "x_ModelDeveloper": "OpenAI",
        "x_ModelId": "gpt-5",
        "x_Processing": "batch",
        "x_Region": "eu-west-1",
        "x_ServiceTier": "priority",
        "x_TokenCacheAction": "Uncached",
        "x_TokenDirection": "Input",
    }
    dearer = rated_call(
        dict(USAGE), {**PRICES, "input_tokens": ("99", 10**6)}, occurred_us=10**15, **FULL
    )
    later = _by_kind(rows_of(dearer))["input_tokens"]
    assert later["ListUnitPrice"] == 99
    for name in ("SkuId", "SkuPriceId", "SkuMeter", "SkuPriceDetails"):
        assert later[name] == row[name]


def test_an_unreported_tier_is_the_standard_one() -> None:
    told = rows_of(rated_call({"input_tokens": 1}, PRICES, service_tier="standard"))[0]
    untold = rows_of(rated_call({"input_tokens": 1}, PRICES))[0]
    assert told == untold
    assert untold["SkuPriceId"] == "openai/gpt-5/input/standard/realtime/any/any"


def test_a_contract_parts_list_from_contracted_cost() -> None:
    call = CALLS["contract"]
    for row in rows_of(call):
        factor = Decimal("0.9") if row["x_TokenDirection"] else Decimal(1)
        assert row["ContractedUnitPrice"] == Decimal(str(row["ListUnitPrice"])) * factor
        assert row["BilledCost"] == row["EffectiveCost"] == row["ContractedCost"]
    assert call.list_cost_e10 != call.cost_e10


def test_list_costs_are_those_of_the_list_even_when_their_sum_is_the_same() -> None:
    one, two = Decimal(1), Decimal(2)
    paid = (Line("input_tokens", 10**6, one, 10**6, one), Line("requests", 1, two, 1, two))
    listed = (Line("input_tokens", 10**6, two, 10**6, two), Line("requests", 1, one, 1, one))
    rows = rows_of(focus_call(cost_e10=3 * 10**10, lines=paid, list_lines=listed))
    assert [(row["BilledCost"], row["ListCost"]) for row in rows] == [(1, 2), (2, 1)]


def test_dimensions_of_the_call_are_where_focus_has_them() -> None:
    row = rows_of(CALLS["full"])[0]
    expected = {
        "BillingAccountId": "org_1", "BillingAccountName": "Acme",
        "SubAccountId": "proj_1", "SubAccountName": "Search", "SubAccountType": "Project",
        "ResourceId": "key_1", "ResourceName": "Build", "ResourceType": "API Key",
        "RegionId": "eu-west-1", "InvoiceId": "inv_1",
        "ServiceProviderName": "OpenAI", "ServiceName": "OpenAI API",
        "PricingCategory": "Standard", "ChargeCategory": "Usage", "ChargeClass": None,
        "x_Team": "Plattform", "x_ConsumerId": "usr_9", "x_CostCenter": "4711",
        "x_CredentialId": "key_1", "x_Environment": "production", "x_Feature": "chat",
        "x_PriceVersion": "2026-11", "x_PriceRule": "exact", "x_CallId": "call_1",
        "x_UnitPriceBasis": "PriceList",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert row["Tags"] == '{"a":"é","b":1,"c":true,"d":null,"e":"{\\"x\\":[1]}","f":"[1]"}'
    assert row["x_Metadata"] == '{"trace":"t1"}'


def test_an_unknown_seller_keeps_its_id_and_its_developer_is_not_guessed() -> None:
    row = rows_of(CALLS["unknown seller"])[0]
    assert row["ProviderName"] == "acme/inference"
    assert row["InvoiceIssuerName"] == "Market"
    assert row["SkuId"] == "acme%2Finference/%C3%BCn%C3%AF/model v1/input"
    assert row["x_ModelDeveloper"] is None
    assert row["Tags"] == '{"alpha":true,"beta":true}'
    assert row["ResourceName"] is None
    assert row["SubAccountName"] == "p"
    named = rows_of(focus_call(model_developer="Acme Labs"))[0]
    assert named["x_ModelDeveloper"] == "Acme Labs"


def test_unknown_cost_is_stated_and_priced_later_at_the_same_sku() -> None:
    row = rows_of(CALLS["unpriced"])[0]
    assert row["BilledCost"] == 0
    assert row["ConsumedQuantity"] == 7
    assert row["x_CostStatus"] == "unpriced"
    assert row["PricingCategory"] == "Other"
    assert row["x_UnitPriceBasis"] is None
    assert "not known" in str(row["ChargeDescription"])
    priced = rows_of(rated_call({"input_tokens": 7}, PRICES))[0]
    assert priced["SkuPriceId"] == row["SkuPriceId"]
    assert "not known" not in str(priced["ChargeDescription"])


def test_lines_of_a_call_without_a_cost_have_no_price() -> None:
    line = Line("input_tokens", 4, Decimal(0), 10**6, Decimal(0))
    call = focus_call(
        cost_e10=None, cost_status="unpriced", lines=(line,), usage=(("output_tokens", 2),)
    )
    rows = rows_of(call)
    assert [(r["x_TokenKind"], r["ConsumedQuantity"]) for r in rows] == [
        ("input_tokens", 4),
        ("output_tokens", 2),
    ]
    assert {r["x_CostStatus"] for r in rows} == {"unpriced"}


def test_usage_beside_known_costs_says_why_it_has_none() -> None:
    partly = _by_kind(rows_of(CALLS["partly"]))
    assert partly["input_tokens"]["x_CostStatus"] == "partially_priced"
    assert partly["output_images"]["x_CostStatus"] == "unpriced"
    assert "other usage" in str(partly["input_tokens"]["ChargeDescription"])
    included = _by_kind(rows_of(CALLS["included"]))
    assert included[None]["BilledCost"] == Decimal("2.5")
    assert included["output_tokens"]["x_CostStatus"] == "included"
    assert included["output_tokens"]["ConsumedQuantity"] == 7
    assert included["output_tokens"]["PricingCategory"] == "Standard"


def test_a_cost_alone_has_the_price_of_a_call() -> None:
    (row,) = rows_of(focus_call(cost_e10=30_000_000_000, list_cost_e10=60_000_000_000, requests=3))
    assert (row["ContractedUnitPrice"], row["ListUnitPrice"]) == (1, 2)
    assert (row["PricingQuantity"], row["PricingUnit"]) == (3, "Requests")
    assert row["x_UnitPriceBasis"] == "Derived"
    assert row["SkuId"] == "openai/gpt-5/call"


@pytest.mark.parametrize(
    ("cost", "list_cost", "requests"), [(-5, None, 1), (5, -5, 1), (5, None, -1), (5, None, 0)]
)
def test_an_amount_without_a_price_that_could_be_is_an_adjustment(
    cost: int, list_cost: int | None, requests: int
) -> None:
    (row,) = rows_of(focus_call(cost_e10=cost, list_cost_e10=list_cost, requests=requests))
    assert row["ChargeCategory"] == "Adjustment"
    assert row["PricingQuantity"] is row["ConsumedQuantity"] is row["ListUnitPrice"] is None
    assert row["x_RequestCount"] == requests


def test_a_structure_is_one_row_of_the_whole_call() -> None:
    structure = {"type": "per_request", "price_per_request": Decimal("0.01")}
    card = RateCard("card", "openai", "gpt-5", {}, structure=structure)
    rated = CompiledRate(card).rate({"requests": 2, "input_tokens": 10})
    call = focus_call(
        cost_e10=rated.cost_e10, lines=rated.lines, usage=(("input_tokens", 10),), requests=2
    )
    rows = rows_of(call)
    assert [row["SkuMeter"] for row in rows] == ["Per Request", "Input Tokens"]
    assert rows[0]["ContractedUnitPrice"] == Decimal("0.01")
    assert rows[0]["PricingQuantity"] == 2


def test_what_lines_do_not_explain_is_an_amount_of_its_own() -> None:
    lines = (MILLION_TOKENS,)
    rows = rows_of(focus_call(cost_e10=25_000_000_003, lines=lines))
    assert [row["ChargeCategory"] for row in rows] == ["Usage", "Adjustment"]
    assert rows[1]["BilledCost"] == rows[1]["ListCost"] == Decimal("3e-10")
    assert violations(rows[1], "1.2") == []
    listed = rows_of(focus_call(list_cost_e10=25_000_000_003, lines=lines))
    assert (listed[1]["BilledCost"], listed[1]["ListCost"]) == (0, Decimal("3e-10"))


def test_corrections_are_a_class_only_in_a_closed_period() -> None:
    november = (to_micros(parse_instant("2026-11-01")), to_micros(parse_instant("2026-12-01")))
    call = rated_call(dict(USAGE), PRICES, occurred_us=to_micros(parse_instant("2026-10-31")))
    opened = rows_of(reversal_of(call))
    assert {row["ChargeClass"] for row in opened} == {None}
    assert all(str(row["ChargeDescription"]).startswith("Correction of ") for row in opened)
    closed = focus_call(
        cost_e10=-7, requests=0, is_correction=True, corrects_closed=True,
        occurred_us=call.occurred_us, billing_period=november,
    )  # fmt: skip
    (row,) = rows_of(closed)
    assert (row["ChargeClass"], row["ChargeCategory"]) == ("Correction", "Adjustment")
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == november
    assert row["ChargePeriodStart"] == call.occurred_us
    assert row["BilledCost"] == Decimal("-7e-10")


def test_a_call_and_its_reversal_are_nothing() -> None:
    call = CALLS["contract"]
    rows = [*rows_of(call), *rows_of(reversal_of(call))]
    for name in ("BilledCost", "ListCost", "ConsumedQuantity", "PricingQuantity", "x_RequestCount"):
        assert sum_of(rows, name) == 0
    unpriced = reversal_of(CALLS["unpriced"])
    assert unpriced.cost_e10 is None
    assert rows_of(unpriced)[0]["ConsumedQuantity"] == -7


@pytest.mark.parametrize(
    ("grain", "start", "length"),
    [("hour", OCCURRED_HOUR, HOUR), ("day", OCCURRED_HOUR - 14 * HOUR, 24 * HOUR)],
)
def test_the_charge_period_is_the_hour_or_the_day(grain: str, start: int, length: int) -> None:
    row = rows_of(focus_call(), grain)[0]
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == (start, start + length)


@pytest.mark.parametrize(
    ("instant", "month", "after"),
    [
        ("2026-12-31T23:59:59.999999Z", "2026-12-01", "2027-01-01"),
        ("2027-01-01T00:00:00Z", "2027-01-01", "2027-02-01"),
        ("2028-02-29T12:00:00Z", "2028-02-01", "2028-03-01"),
    ],
)
def test_the_billing_period_is_the_calendar_month(instant: str, month: str, after: str) -> None:
    row = rows_of(focus_call(occurred_us=to_micros(parse_instant(instant))))[0]
    assert row["BillingPeriodStart"] == to_micros(parse_instant(month))
    assert row["BillingPeriodEnd"] == to_micros(parse_instant(after))


def test_refuses_a_grain_that_is_not_known() -> None:
    with pytest.raises(FocusError) as refused:
        rows_of(focus_call(), "minute")
    assert refused.value.field == "grain"
