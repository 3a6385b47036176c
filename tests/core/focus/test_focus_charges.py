"""Purchases, drawdowns, unused commitments and credits: each counted once."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.focus.charges import (
    Fee,
    Periods,
    credit_row,
    drawn_rows,
    fee_day_row,
    fee_row,
    in_virtual_currency,
    purchase_row,
    unused_row,
)
from llm_cost_ops.core.focus.columns import VERSIONS
from llm_cost_ops.core.focus.commitments import Account, Commitment, Drawdown, Drawn
from llm_cost_ops.core.focus.groups import group_rows
from llm_cost_ops.core.focus.rows import Row, rows_of
from llm_cost_ops.core.money import E10, to_e10
from llm_cost_ops.core.usage import Quantity
from tests.support.focus import OCCURRED, OCCURRED_HOUR, focus_call, rated_call, sum_of, violations

HOUR = 3_600_000_000
PERIODS = Periods((OCCURRED_HOUR, OCCURRED_HOUR + HOUR), (OCCURRED_HOUR - HOUR, OCCURRED_HOUR * 2))
LATE = Periods(PERIODS.charge, PERIODS.billing, corrects_closed=True)
ACCOUNT = Account(
    organization_id="org_1", organization_name="Acme", currency="USD", provider="openai",
    invoice_id="INV-7",
)  # fmt: skip
PRICES = {"input_tokens": ("5", 10**6), "output_tokens": ("25", 10**6)}
SEATS = Fee(
    id="chg_1", name="Seats", account=ACCOUNT, amount_e10=75 * E10, quantity=Decimal(3),
    unit="Seats", is_recurring=True, days=31,
)  # fmt: skip


def _commitment(**changes: Any) -> Commitment:
    values: dict[str, Any] = {
        "id": "com_1", "name": "Credits of May", "type": "Prepaid Credits", "account": ACCOUNT,
        "granted_e10": 100 * E10, "paid_e10": 80 * E10, "start_us": OCCURRED_HOUR - HOUR,
    }  # fmt: skip
    return Commitment(**{**values, **changes})


def _usage(**changes: Any) -> list[Row]:
    """25 and 37.50 USD."""
    usage: dict[str, Quantity] = {"input_tokens": 5_000_000, "output_tokens": 1_500_000}
    return rows_of(rated_call(usage, PRICES, **changes))


def _drawn(rows: list[Row], *commitments: Commitment) -> list[Row]:
    drawdown = Drawdown(commitments or (_commitment(),))
    cost = to_e10(sum_of(rows, "ContractedCost"))
    return drawn_rows(rows, drawdown.draw("openai", "USD", OCCURRED, cost))


def _all_charges() -> dict[str, list[Row]]:
    little = _commitment(granted_e10=30 * E10)
    credits = _commitment(virtual_currency="Credits", virtual_units=Decimal(1000))
    return {
        "purchase": [purchase_row(_commitment(), PERIODS)],
        "late purchase": [purchase_row(_commitment(), LATE)],
        "purchase in credits": [purchase_row(credits, PERIODS)],
        "drawn": _drawn(_usage()),
        "drawn in credits": _drawn(_usage(), credits),
        "drawn in part": _drawn(_usage(), little),
        "drawn from two": _drawn(_usage(), little, _commitment(id="com_2")),
        "drawn correction": _drawn(_usage(corrects_closed=True)),
        "drawn amount": _drawn(rows_of(focus_call(cost_e10=5, requests=0))),
        "unused": [unused_row(_commitment(), PERIODS, 12 * E10 + 5)],
        "late unused": [unused_row(_commitment(), LATE, 12 * E10 + 5)],
        "unused credits": [unused_row(credits, PERIODS, 7)],
        "credit": [credit_row(ACCOUNT, PERIODS, 5 * E10, "Goodwill")],
        "late credit": [credit_row(ACCOUNT, LATE, 5 * E10, "Goodwill")],
        "fee": [fee_row(SEATS, PERIODS)],
        "late fee": [fee_row(SEATS, LATE)],
        "days of a fee": [fee_day_row(SEATS, PERIODS, 0), fee_day_row(SEATS, LATE, 30)],
        "name is id": [purchase_row(_commitment(name="com_1"), PERIODS)],
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", _all_charges())
def test_every_charge_keeps_the_rules(name: str, version: str) -> None:
    for row in _all_charges()[name]:
        assert violations(row, version) == []


def test_a_purchase_is_billed_and_has_no_effect_yet() -> None:
    row = purchase_row(_commitment(), PERIODS)
    assert row["ChargeCategory"] == "Purchase"
    assert (row["BilledCost"], row["EffectiveCost"]) == (80, 0)
    assert (row["ListCost"], row["ListUnitPrice"]) == (100, 1)
    assert (row["ContractedCost"], row["ContractedUnitPrice"]) == (80, Decimal("0.8"))
    assert (row["PricingQuantity"], row["PricingUnit"]) == (100, "USD")
    assert row["ResourceId"] == row["CommitmentDiscountId"] == "com_1"
    assert row["CommitmentDiscountStatus"] is row["ConsumedQuantity"] is row["ChargeClass"] is None
    assert row["SkuId"] == "openai/Prepaid Credits/commitment"
    assert row["InvoiceId"] == "INV-7"
    assert _elements(row) == [("com_1", "com_1", Decimal(100))]
    late = purchase_row(_commitment(), LATE)
    assert (late["ChargeClass"], late["BilledCost"]) == ("Correction", 80)


def test_a_purchase_of_anything_else_has_its_effect_day_by_day() -> None:
    row = fee_row(SEATS, PERIODS)
    assert (row["ChargeCategory"], row["ChargeFrequency"]) == ("Purchase", "Recurring")
    assert (row["BilledCost"], row["EffectiveCost"], row["ContractedCost"]) == (75, 0, 75)
    assert (row["PricingQuantity"], row["PricingUnit"], row["ListUnitPrice"]) == (3, "Seats", 25)
    assert row["SkuId"] == "openai/Seats/purchase"
    assert row["CommitmentDiscountId"] is None
    days = [fee_day_row(SEATS, PERIODS, day) for day in range(31)]
    assert {(row["ChargeCategory"], row["BilledCost"]) for row in days} == {("Usage", 0)}
    assert sum_of(days, "EffectiveCost") == 75
    assert {row["EffectiveCost"] for row in days} == {
        Decimal("2.4193548387"), Decimal("2.4193548388"),
    }  # fmt: skip
    assert {row["SkuPriceId"] for row in days} == {row["SkuPriceId"]}
    once = Fee(id="chg_2", name="Setup", account=ACCOUNT, amount_e10=1)
    row = fee_row(once, PERIODS)
    assert (row["ChargeFrequency"], row["PricingUnit"]) == ("One-Time", "Units")
    assert fee_day_row(once, PERIODS, 0)["EffectiveCost"] == Decimal("1e-10")


def test_drawn_usage_has_an_effect_and_is_not_billed_again() -> None:
    cheap, dear = _drawn(_usage())
    assert [row["BilledCost"] for row in (cheap, dear)] == [0, 0]
    assert [row["ContractedCost"] for row in (cheap, dear)] == [25, Decimal("37.5")]
    assert [row["EffectiveCost"] for row in (cheap, dear)] == [20, 30]
    assert cheap["PricingCategory"] == "Committed"
    assert cheap["CommitmentDiscountStatus"] == "Used"
    assert (cheap["CommitmentDiscountQuantity"], cheap["CommitmentDiscountUnit"]) == (25, "USD")
    assert _elements(dear) == [("com_1", "com_1", Decimal("37.5"))]
    assert _elements(_drawn(_usage(), _commitment(contract_id="c9"))[0])[0][0] == "c9"


def test_what_a_commitment_has_not_left_is_billed() -> None:
    cheap, dear = _drawn(_usage(), _commitment(granted_e10=40 * E10, paid_e10=20 * E10))
    assert [row["BilledCost"] for row in (cheap, dear)] == [0, Decimal("22.5")]
    assert [row["EffectiveCost"] for row in (cheap, dear)] == [Decimal("12.5"), 30]
    assert dear["CommitmentDiscountQuantity"] == 15
    first, second = _drawn(_usage(), _commitment(granted_e10=20 * E10))
    assert (first["BilledCost"], second["BilledCost"]) == (5, Decimal("37.5"))
    assert second["CommitmentDiscountId"] is None
    assert second["PricingCategory"] == "Standard"


def test_a_row_that_two_commitments_pay_is_of_the_one_that_pays_more() -> None:
    little = _commitment(id="com_0", granted_e10=10 * E10, paid_e10=5 * E10)
    cheap, dear = _drawn(_usage(), little, _commitment())
    assert cheap["CommitmentDiscountId"] == dear["CommitmentDiscountId"] == "com_1"
    assert _elements(cheap) == [("com_0", "com_0", Decimal(10)), ("com_1", "com_1", Decimal(15))]
    assert cheap["CommitmentDiscountQuantity"] == 15
    assert (cheap["BilledCost"], cheap["EffectiveCost"]) == (0, 17)


def test_a_commitment_is_spent_by_what_is_drawn_and_what_expires() -> None:
    rows = [
        purchase_row(_commitment(), PERIODS),
        *_drawn(_usage()),
        unused_row(_commitment(), PERIODS, 62 * E10 + 5 * 10**9),
    ]
    assert sum_of(rows, "BilledCost") == sum_of(rows, "EffectiveCost") == 80
    assert rows[-1]["CommitmentDiscountStatus"] == "Unused"
    assert (rows[-1]["ContractedCost"], rows[-1]["ListCost"]) == (30, Decimal("37.5"))


@given(
    st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(1, 10**12), st.integers(0, 10**12)), min_size=1, max_size=4),
)
def test_whatever_is_drawn_every_amount_is_counted_once(
    calls: list[tuple[int, int]], bought: list[tuple[int, int]]
) -> None:
    commitments = [
        _commitment(id=f"com_{place}", granted_e10=granted, paid_e10=paid)
        for place, (granted, paid) in enumerate(bought)
    ]
    drawdown = Drawdown(commitments)
    rows: list[Row] = []
    costs = 0
    for read, written in calls:
        call = rated_call({"input_tokens": read, "output_tokens": written}, PRICES)
        costs += call.cost_e10 or 0
        drawn = drawdown.draw("openai", "USD", OCCURRED, call.cost_e10 or 0)
        rows += drawn_rows(rows_of(call), drawn)
    for row in rows:
        assert violations(row, "1.4") == []
    taken = sum(drawdown.drawn.values())
    assert taken == min(costs, sum(granted for granted, _ in bought))
    assert to_e10(sum_of(rows, "ContractedCost")) == costs
    assert to_e10(sum_of(rows, "BilledCost")) == costs - taken
    rows += [purchase_row(each, PERIODS) for each in commitments]
    rows += [unused_row(each, PERIODS, drawdown.of(each)) for each in commitments]
    assert sum_of(rows, "BilledCost") == sum_of(rows, "EffectiveCost")
    assert sum_of(group_rows(rows), "EffectiveCost") == sum_of(rows, "EffectiveCost")


def test_all_of_a_call_is_drawn_with_what_is_below_zero_in_it() -> None:
    """The rest of a cost that its lines do not explain can be."""
    usage = rows_of(rated_call({"input_tokens": 5_000_000}, PRICES, cost_e10=24 * E10))
    assert [row["ContractedCost"] for row in usage] == [25, -1]
    drawn = _drawn(usage)
    assert [row["BilledCost"] for row in drawn] == [0, 0]
    assert [row["EffectiveCost"] for row in drawn] == [20, Decimal("-0.8")]
    in_part = drawn_rows(usage, [Drawn(_commitment(), 24 * E10 - 1, 7)])
    assert [row["BilledCost"] for row in in_part] == [1 + Decimal("1e-10"), -1]


def test_drawn_rows_are_added_up_with_what_they_are_applied_to() -> None:
    usage = _usage()[:1]
    (row,) = group_rows([*_drawn(usage), *_drawn(usage)])
    assert _elements(row) == [("com_1", "com_1", Decimal(50))]
    assert row["CommitmentDiscountQuantity"] == 50
    assert row["EffectiveCost"] == 40
    assert violations(row, "1.4") == []
    other = _drawn(usage, _commitment(contract_id="c2"))
    assert len(group_rows([*_drawn(usage), *other, *usage])) == 3


def test_a_credit_is_negative_in_every_cost() -> None:
    row = credit_row(ACCOUNT, PERIODS, 5 * E10, "Goodwill")
    assert row["ChargeCategory"] == "Credit"
    assert row["ChargeDescription"] == "Goodwill"
    for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"):
        assert row[name] == -5
    assert row["SkuId"] is row["PricingQuantity"] is None


def test_prices_in_credits_stand_beside_those_in_money() -> None:
    credits = _commitment(virtual_currency="Credits", virtual_units=Decimal(1000))
    priced, _ = _drawn(_usage(), credits)
    assert priced["PricingCurrency"] == "Credits"
    assert priced["BillingCurrency"] == "USD"
    assert priced["PricingCurrencyListUnitPrice"] == 5000
    assert priced["PricingCurrencyContractedUnitPrice"] == 5000
    assert priced["PricingCurrencyEffectiveCost"] == 20_000
    assert purchase_row(credits, PERIODS)["PricingCurrencyContractedUnitPrice"] == 800
    amount = in_virtual_currency(credit_row(ACCOUNT, PERIODS, 1, ""), "Credits", Decimal(2))
    assert amount["PricingCurrencyListUnitPrice"] is None


def test_a_commitment_may_have_cost_nothing() -> None:
    row = purchase_row(_commitment(paid_e10=0), PERIODS)
    assert row["BilledCost"] == row["ContractedUnitPrice"] == 0
    assert row["ListCost"] == 100
    assert [row["EffectiveCost"] for row in _drawn(_usage(), _commitment(paid_e10=0))] == [0, 0]


def _elements(row: Row) -> list[tuple[str, str, Decimal]]:
    elements = json.loads(str(row["ContractApplied"]), parse_float=Decimal, parse_int=Decimal)
    return [
        (each["ContractID"], each["ContractCommitmentID"], each["ContractCommitmentAppliedCost"])
        for each in elements["Elements"]
    ]
