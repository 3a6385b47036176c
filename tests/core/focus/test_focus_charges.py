"""Purchases, drawdowns, unused commitments and credits: each counted once."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.focus.charges import (
    Account,
    Commitment,
    Periods,
    credit_row,
    drawn_rows,
    in_virtual_currency,
    purchase_row,
    unused_row,
)
from llm_cost_ops.core.focus.columns import VERSIONS, FocusError
from llm_cost_ops.core.focus.groups import group_rows
from llm_cost_ops.core.focus.rows import Row, rows_of
from llm_cost_ops.core.money import E10, to_e10
from llm_cost_ops.core.usage import Quantity
from tests.support.focus import OCCURRED_HOUR, focus_call, rated_call, sum_of, violations

HOUR = 3_600_000_000
PERIODS = Periods((OCCURRED_HOUR, OCCURRED_HOUR + HOUR), (OCCURRED_HOUR - HOUR, OCCURRED_HOUR * 2))
ACCOUNT = Account(
    organization_id="org_1", organization_name="Acme", currency="USD", provider="anthropic"
)
PRICES = {"input_tokens": ("5", 10**6), "output_tokens": ("25", 10**6)}


def _commitment(**changes: Any) -> Commitment:
    values: dict[str, Any] = {
        "id": "com_1", "name": "Credits of May", "type": "Prepaid Credits", "account": ACCOUNT,
        "granted": Decimal(100), "paid_e10": 80 * E10,
    }  # fmt: skip
    return Commitment(**{**values, **changes})


THROUGHPUT = _commitment(
    category="Usage", unit="Tokens", granted=Decimal(3_000_000), type="Throughput", contract_id="c9"
)


def _usage(**changes: Any) -> list[Row]:
    usage: dict[str, Quantity] = {"input_tokens": 5_000_000, "output_tokens": 1_500_000}
    return rows_of(rated_call(usage, PRICES, **changes))


def _all_charges() -> dict[str, list[Row]]:
    alone = rows_of(focus_call(cost_e10=-5, requests=0))
    return {
        "purchase": [purchase_row(_commitment(), PERIODS)],
        "monthly": [
            purchase_row(_commitment(), PERIODS, frequency="Recurring", covers_future=False)
        ],
        "throughput": [purchase_row(THROUGHPUT, PERIODS)],
        "drawn": drawn_rows(_usage(), _commitment(), 50 * E10),
        "drawn units": drawn_rows(_usage(), THROUGHPUT, 50 * E10),
        "drawn correction": drawn_rows(_usage(corrects_closed=True), _commitment(), 50 * E10),
        "drawn amount": drawn_rows(alone, _commitment(), -5),
        "drawn amount of units": drawn_rows(alone, THROUGHPUT, -5),
        "unused": [unused_row(_commitment(), PERIODS, Decimal("12.5"), 10 * E10)],
        "unused units": [unused_row(THROUGHPUT, PERIODS, Decimal(1000), 7)],
        "credit": [credit_row(ACCOUNT, PERIODS, 5 * E10, "Goodwill")],
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
    assert row["CommitmentDiscountStatus"] is row["ConsumedQuantity"] is None
    assert row["SkuId"] == "anthropic/Prepaid Credits/commitment"
    assert json.loads(str(row["ContractApplied"])) == {
        "Elements": [
            {
                "ContractID": "com_1",
                "ContractCommitmentID": "com_1",
                "ContractCommitmentAppliedCost": 100,
            }
        ]
    }
    past = purchase_row(_commitment(), PERIODS, covers_future=False)
    assert past["EffectiveCost"] == 80


def test_drawn_usage_has_an_effect_and_is_not_billed_again() -> None:
    cheap, dear = drawn_rows(_usage(), _commitment(), 50 * E10)
    assert [row["BilledCost"] for row in (cheap, dear)] == [0, 0]
    assert [row["ContractedCost"] for row in (cheap, dear)] == [25, Decimal("37.5")]
    assert [row["EffectiveCost"] for row in (cheap, dear)] == [20, 30]
    assert cheap["PricingCategory"] == "Committed"
    assert cheap["CommitmentDiscountStatus"] == "Used"
    assert (cheap["CommitmentDiscountQuantity"], cheap["CommitmentDiscountUnit"]) == (20, "USD")
    (units, _) = drawn_rows(_usage(), THROUGHPUT, 50 * E10)
    assert (units["CommitmentDiscountQuantity"], units["CommitmentDiscountUnit"]) == (
        5_000_000,
        "Tokens",
    )
    (element,) = json.loads(str(units["ContractApplied"]))["Elements"]
    assert element == {
        "ContractID": "c9",
        "ContractCommitmentID": "com_1",
        "ContractCommitmentAppliedQuantity": 5_000_000,
        "ContractCommitmentAppliedUnit": "Tokens",
    }


def test_a_commitment_is_spent_by_what_is_drawn_and_what_expires() -> None:
    rows = [
        purchase_row(_commitment(), PERIODS),
        *drawn_rows(_usage(), _commitment(), 70 * E10),
        unused_row(_commitment(), PERIODS, Decimal("12.5"), 10 * E10),
    ]
    assert sum_of(rows, "BilledCost") == sum_of(rows, "EffectiveCost") == 80
    assert rows[-1]["CommitmentDiscountStatus"] == "Unused"
    assert (rows[-1]["ContractedCost"], rows[-1]["ListCost"]) == (10, Decimal("12.5"))


@given(st.integers(-(10**14), 10**14), st.lists(st.integers(0, 10**6), min_size=1, max_size=5))
def test_any_amount_is_drawn_whole(drawn: int, tokens: list[int]) -> None:
    calls = [rated_call({"input_tokens": count or 1}, PRICES) for count in tokens]
    rows = [row for call in calls for row in rows_of(call)]
    assert to_e10(sum_of(drawn_rows(rows, _commitment(), drawn), "EffectiveCost")) == drawn


def test_rows_without_a_cost_share_alike() -> None:
    free = rows_of(
        focus_call(
            cost_e10=None, cost_status="unpriced", usage=(("input_tokens", 1), ("output_tokens", 1))
        )
    )
    assert [row["EffectiveCost"] for row in drawn_rows(free, _commitment(), 3)] == [
        Decimal("2e-10"),
        Decimal("1e-10"),
    ]
    with pytest.raises(FocusError) as refused:
        drawn_rows([], _commitment(), 3)
    assert refused.value.field == "rows"


def test_drawn_rows_are_added_up_with_what_they_are_applied_to() -> None:
    usage = _usage()[:1]
    for commitment, name in ((_commitment(), "Cost"), (THROUGHPUT, "Quantity")):
        once = drawn_rows(usage, commitment, 7 * E10)
        twice = drawn_rows(usage, commitment, 5 * E10)
        (row,) = group_rows([*once, *twice])
        (element,) = json.loads(str(row["ContractApplied"]))["Elements"]
        expected = 12 if name == "Cost" else 10_000_000
        assert element[f"ContractCommitmentApplied{name}"] == expected
        assert row["CommitmentDiscountQuantity"] == expected
        assert row["EffectiveCost"] == 12
        assert violations(row, "1.4") == []
    other = drawn_rows(usage, _commitment(contract_id="c2"), 7 * E10)
    assert len(group_rows([*drawn_rows(usage, _commitment(), 7 * E10), *other])) == 2


def test_a_credit_is_negative_in_every_cost() -> None:
    row = credit_row(ACCOUNT, PERIODS, 5 * E10, "Goodwill")
    assert row["ChargeCategory"] == "Credit"
    assert row["ChargeDescription"] == "Goodwill"
    for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"):
        assert row[name] == -5
    assert row["SkuId"] is row["PricingQuantity"] is None


def test_prices_in_credits_stand_beside_those_in_money() -> None:
    (row, _) = drawn_rows(_usage(), _commitment(), 50 * E10)
    priced = in_virtual_currency(row, "Credits", Decimal("1000"))
    assert priced["PricingCurrency"] == "Credits"
    assert priced["BillingCurrency"] == "USD"
    assert priced["PricingCurrencyListUnitPrice"] == 5000
    assert priced["PricingCurrencyContractedUnitPrice"] == 5000
    assert priced["PricingCurrencyEffectiveCost"] == 20_000
    assert row["PricingCurrency"] == "USD"
    amount = in_virtual_currency(credit_row(ACCOUNT, PERIODS, 1, ""), "Credits", Decimal(2))
    assert amount["PricingCurrencyListUnitPrice"] is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"category": "Other"}, "category"),
        ({"category": "Usage"}, "unit"),
        ({"granted": Decimal(0)}, "granted"),
        ({"paid_e10": -1}, "granted"),
    ],
)
def test_refuses_a_commitment_that_cannot_be(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(FocusError) as refused:
        _commitment(**changes)
    assert refused.value.field == field


def test_a_commitment_may_have_cost_nothing() -> None:
    row = purchase_row(_commitment(paid_e10=0), PERIODS)
    assert row["BilledCost"] == row["ContractedUnitPrice"] == 0
    assert row["ListCost"] == 100
