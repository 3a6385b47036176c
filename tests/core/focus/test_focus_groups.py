"""Grouping adds up exactly, keeps apart what differs, and leaves price x quantity = cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.focus.calls import FocusCall, reversal_of
from llm_cost_ops.core.focus.charges import drawn_rows, in_virtual_currency
from llm_cost_ops.core.focus.columns import VERSIONS
from llm_cost_ops.core.focus.commitments import Account, Commitment, Drawn
from llm_cost_ops.core.focus.groups import KEY, SUMMED, group_rows, grouped_pages
from llm_cost_ops.core.focus.rows import Row, rows_of
from llm_cost_ops.core.focus.spread import spread
from llm_cost_ops.core.money import to_e10
from llm_cost_ops.core.pricing.card import Adjustment
from llm_cost_ops.core.usage import Quantity
from tests.support.focus import OCCURRED, focus_call, rated_call, sum_of, violations

HOUR = 3_600_000_000
COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")

PRICE = st.decimals(0, 100, places=4).map(str)
PER = st.sampled_from((1, 3, 60, 1000, 1_000_000))
KINDS = (
    "input_tokens", "cache_read_tokens", "output_tokens", "output_reasoning_tokens",
    "web_searches", "input_characters",
)  # fmt: skip
CARDS = st.fixed_dictionaries({"input_tokens": st.tuples(PRICE, PER)}).flatmap(
    lambda first: st.dictionaries(
        st.sampled_from((*KINDS[1:], "audio_seconds")), st.tuples(PRICE, PER), max_size=4
    ).map(lambda more: {**first, **more})
)
FACTORS = st.lists(
    st.tuples(st.sampled_from(("0.9", "1.1", "0.333")), st.sampled_from(("list", "contract"))),
    max_size=2,
)


@st.composite
def usages(draw: st.DrawFn) -> dict[str, Quantity]:
    """Counts that can be true: parts do not exceed what contains them."""
    whole = draw(st.integers(1, 10**6))
    output = draw(st.integers(0, 10**6))
    usage: dict[str, Quantity] = {
        "input_tokens": whole,
        "cache_read_tokens": draw(st.integers(0, whole)),
        "output_tokens": output,
        "output_reasoning_tokens": draw(st.integers(0, output)),
        "web_searches": draw(st.integers(0, 5)),
        "input_characters": draw(st.integers(0, 10**6)),
        "audio_seconds": draw(st.decimals(0, 1000, places=3)),
        "output_images": draw(st.integers(0, 3)),
    }
    return {kind: quantity for kind, quantity in usage.items() if quantity}


@st.composite
def calls(draw: st.DrawFn) -> FocusCall:
    """A call rated with a card and factors that were drawn; or one with its cost alone, or none."""
    place: dict[str, Any] = {
        "occurred_us": OCCURRED + draw(st.integers(-2, 2)) * HOUR,
        "project_id": draw(st.sampled_from((None, "a", "b"))),
        "tags": draw(st.sampled_from(((), ("x",), ("x", "y")))),
        "id": draw(st.sampled_from(("call_1", "call_2"))),
        "region": draw(st.sampled_from((None, "eu"))),
        "currency": draw(st.sampled_from(("USD", "EUR"))),
    }
    way = draw(st.sampled_from(("rated", "rated", "rated", "alone", "unpriced")))
    usage = draw(usages())
    if way == "alone":
        return focus_call(cost_e10=draw(st.integers(-(10**12), 10**12)), **place)
    if way == "unpriced":
        kinds = tuple(usage.items())
        return focus_call(cost_e10=None, cost_status="unpriced", usage=kinds, **place)
    factors = [
        Adjustment(f"f{index}", "", Decimal(factor), None, scope)
        for index, (factor, scope) in enumerate(draw(FACTORS))
    ]
    card = draw(CARDS)
    try:
        call = rated_call(usage, card, factors, **place)
    except UsageError:  # it costs more than a record holds
        reject()
    return reversal_of(call) if draw(st.booleans()) else call


@given(calls(), st.sampled_from(VERSIONS))
def test_rows_of_any_call_sum_to_it_and_keep_the_rules(call: FocusCall, version: str) -> None:
    rows = rows_of(call)
    cost = call.cost_e10 or 0
    list_cost = cost if call.list_cost_e10 is None else call.list_cost_e10
    for name in ("BilledCost", "EffectiveCost", "ContractedCost"):
        assert to_e10(sum_of(rows, name)) == cost
    assert to_e10(sum_of(rows, "ListCost")) == list_cost
    assert [fault for row in rows for fault in violations(row, version)] == []
    counted = {row["x_TokenKind"]: row["ConsumedQuantity"] for row in rows if row["x_TokenKind"]}
    assert counted == {
        **{line.kind: line.quantity for line in call.lines},
        **dict(call.usage),
    }


@settings(max_examples=50)
@given(st.lists(calls(), min_size=1, max_size=8), st.sampled_from(VERSIONS))
def test_grouping_loses_nothing_and_keeps_the_rules(made: list[FocusCall], version: str) -> None:
    rows = [row for call in made for row in rows_of(call)]
    before = [row.copy() for row in rows]
    grouped = group_rows(rows)
    assert rows == before
    assert len(grouped) <= 2 * len(rows)
    for dimensions in (
        ("BillingCurrency",),
        ("BillingCurrency", "SkuPriceId", "Tags", "SubAccountId"),
    ):
        assert _sums(grouped, dimensions) == _sums(rows, dimensions)
    assert [fault for row in grouped for fault in violations(row, version)] == []
    assert group_rows(grouped) == grouped


@settings(max_examples=20)
@given(st.lists(calls(), min_size=1, max_size=4), st.integers(1, 6))
def test_pages_of_groups_lose_nothing_and_are_no_larger(made: list[FocusCall], limit: int) -> None:
    rows = [row for call in made for row in rows_of(call)]
    pages = list(grouped_pages(rows, limit))
    assert all(1 <= len(page) <= 2 * limit for page in pages), "a group and its adjustment"
    found = [row for page in pages for row in page]
    dimensions = ("BillingCurrency", "SkuPriceId", "Tags", "SubAccountId")
    assert _sums(found, dimensions) == _sums(rows, dimensions)
    assert [fault for row in found for fault in violations(row, "1.2")] == []


def test_no_more_rows_are_read_than_a_page_holds() -> None:
    read: list[str] = []

    def users() -> Iterator[Row]:
        for number in range(100):
            read.append(f"user_{number}")
            yield from rows_of(focus_call(user=read[-1]))

    first = next(grouped_pages(users(), 10))
    assert (len(first), len(read)) == (10, 10)


def _sums(rows: list[Row], dimensions: tuple[str, ...]) -> dict[object, list[Decimal]]:
    found: dict[object, list[Decimal]] = {}
    for row in rows:
        key = tuple(row[name] for name in dimensions)
        sums = found.setdefault(key, [Decimal(0)] * len(SUMMED))
        for index, name in enumerate(SUMMED):
            sums[index] += sum_of([row], name)
    return found


@given(
    st.lists(st.decimals(-100, 100, places=13), min_size=1, max_size=9),
)
def test_parts_of_a_rounded_total_are_each_less_than_a_unit_off(amounts: list[Decimal]) -> None:
    total = to_e10(sum(amounts, Decimal(0)))
    parts, rest = spread(total, amounts)
    assert sum(parts) == total
    assert rest == 0
    for part, amount in zip(parts, amounts, strict=True):
        assert abs(Decimal(part).scaleb(-10) - amount) < Decimal("1e-10")
    negated, _ = spread(-total, [-amount for amount in amounts])
    assert negated == [-part for part in parts]


@pytest.mark.parametrize(
    ("total", "amounts", "parts", "rest"),
    [
        (3, ["1.5E-10", "1.5E-10"], [2, 1], 0),
        (10, ["0", "10.4E-10"], [0, 10], 0),
        (11, ["0", "10.4E-10"], [0, 11], 0),
        (12, ["0", "10.4E-10"], [0, 10], 2),
        (9, ["0", "10.5E-10"], [0, 10], -1),
        (0, ["1.5E-10", "-1.5E-10"], [2, -2], 0),
        (0, ["-1.5E-10", "1.5E-10"], [-2, 2], 0),
        (0, ["0", "-1.5E-10", "1.5E-10"], [0, -2, 2], 0),
        (-3, ["-1.5E-10", "-1.5E-10"], [-2, -1], 0),
        (-12, ["-10.4E-10"], [-10], -2),
        (0, [], [], 0),
        (4, [], [], 4),
    ],
)
def test_the_largest_remainders_are_rounded_up(
    total: int, amounts: list[str], parts: list[int], rest: int
) -> None:
    assert spread(total, [Decimal(amount) for amount in amounts]) == (parts, rest)


def test_what_is_alike_is_added_up_and_what_differs_stays() -> None:
    prices = {"input_tokens": ("2.5", 10**6)}
    same = rated_call({"input_tokens": 10}, prices, id="call_1", metadata={"trace": 1})
    again = rated_call({"input_tokens": 30}, prices, id="call_2", metadata={"trace": 2})
    (row,) = group_rows([*rows_of(same), *rows_of(again)])
    assert row["ConsumedQuantity"] == 40
    assert row["PricingQuantity"] == Decimal("0.00004")
    assert row["BilledCost"] == Decimal("0.0001")
    assert row["ContractedUnitPrice"] == Decimal("2.5")
    assert row["x_RequestCount"] == 2
    assert row["x_CallId"] is row["x_Metadata"] is None
    others: tuple[dict[str, Any], ...] = (
        {"occurred_us": OCCURRED + HOUR}, {"model": "gpt-6"}, {"project_id": "p"},
        {"credential_id": "k"}, {"tags": ("t",)}, {"corrects_closed": True}, {"currency": "EUR"},
        {"organization_id": "o2"}, {"service_tier": "flex"}, {"team": "t"}, {"region": "eu"},
        {"context_tier": "gt200k"}, {"processing": "batch"}, {"price_version": "2"},
    )  # fmt: skip
    for other in others:
        different = rated_call({"input_tokens": 30}, prices, **other)
        assert len(group_rows([*rows_of(same), *rows_of(different)])) == 2, other
    dearer = rated_call({"input_tokens": 30}, {"input_tokens": ("3", 10**6)})
    assert len(group_rows([*rows_of(same), *rows_of(dearer)])) == 2


def test_one_call_in_a_group_keeps_its_id() -> None:
    (row,) = group_rows(rows_of(focus_call(metadata={"a": 1})))
    assert (row["x_CallId"], row["x_Metadata"]) == ("call_1", '{"a":1}')


def test_many_roundings_become_an_amount_of_their_own() -> None:
    call = rated_call({"input_tokens": 1}, {"input_tokens": ("0.01875", 10**6)}, tags=("t",))
    assert call.cost_e10 == 188  # of 187.5
    usage, rounding = group_rows(row for _ in range(1000) for row in rows_of(call))
    assert usage["BilledCost"] == usage["ListCost"] == Decimal("0.00001875")
    assert rounding["BilledCost"] == rounding["EffectiveCost"] == Decimal("0.00000005")
    assert rounding["ChargeCategory"] == "Adjustment"
    assert rounding["PricingQuantity"] is rounding["ListUnitPrice"] is None
    assert usage["x_RequestCount"] == 1000
    assert rounding["x_RequestCount"] == 0
    assert (rounding["SkuPriceId"], rounding["Tags"]) == (usage["SkuPriceId"], usage["Tags"])
    assert violations(usage, "1.4") == violations(rounding, "1.4") == []
    few = group_rows(row for _ in range(20) for row in rows_of(call))
    assert [row["ChargeCategory"] for row in few] == ["Usage"]
    more = group_rows(row for _ in range(21) for row in rows_of(call))
    assert [row["ChargeCategory"] for row in more] == ["Usage", "Adjustment"]


def test_rounding_of_what_a_commitment_pays_is_not_billed() -> None:
    call = rated_call({"input_tokens": 1}, {"input_tokens": ("0.01875", 10**6)})
    account = Account(organization_id="org_1", currency="USD", provider="openai")
    commitment = Commitment(
        id="com_1", name="Credits", type="Prepaid", account=account, granted_e10=188,
        paid_e10=100, start_us=0,
    )  # fmt: skip
    drawn = drawn_rows(rows_of(call), [Drawn(commitment, 188, 100)])
    usage, rounding = group_rows(row for _ in range(1000) for row in drawn)
    assert (usage["EffectiveCost"], usage["BilledCost"]) == (Decimal("0.00001"), 0)
    assert (rounding["EffectiveCost"], rounding["BilledCost"]) == (0, 0)
    assert rounding["ContractedCost"] == rounding["ListCost"] == Decimal("0.00000005")
    assert violations(usage, "1.4") == violations(rounding, "1.4") == []


def test_rounding_of_the_list_cost_alone_moves_nothing_that_is_billed() -> None:
    half = Adjustment("half", "", Decimal("2"), None, "contract")
    call = rated_call({"input_tokens": 1}, {"input_tokens": ("0.01875", 10**6)}, [half])
    usage, rounding = group_rows(row for _ in range(1000) for row in rows_of(call))
    assert rounding["BilledCost"] == rounding["ContractedCost"] == 0
    assert rounding["ListCost"] == Decimal("0.00000005")
    assert usage["BilledCost"] == Decimal("0.0000375")


def test_corrections_of_closed_periods_may_differ_from_their_price() -> None:
    call = rated_call(
        {"input_tokens": 1}, {"input_tokens": ("0.01875", 10**6)}, corrects_closed=True
    )
    (row,) = group_rows(row for _ in range(1000) for row in rows_of(call))
    assert row["BilledCost"] == Decimal("0.0000188")
    assert row["ChargeClass"] == "Correction"


def test_costs_alone_have_their_mean_as_price() -> None:
    rows = [row for cost in (1, 2, 4) for row in rows_of(focus_call(cost_e10=cost * 10**10))]
    (row,) = group_rows(rows)
    assert row["ContractedUnitPrice"] == Decimal("2.33333333333333333333")
    assert row["BilledCost"] == 7
    assert violations(row, "1.3") == []
    undone = [*rows_of(focus_call()), *rows_of(reversal_of(focus_call(cost_e10=5 * 10**10)))]
    correction, amount = sorted(
        group_rows([{**row, "ChargeDescription": "same"} for row in undone]),
        key=lambda row: str(row["ChargeCategory"]),
        reverse=True,
    )
    assert (correction["PricingQuantity"], correction["ContractedUnitPrice"]) == (0, 0)
    assert (correction["BilledCost"], amount["BilledCost"]) == (0, Decimal("-2.5"))


def test_a_mean_price_is_not_negative() -> None:
    one = rows_of(focus_call(cost_e10=5 * 10**10))
    three = rows_of(focus_call(cost_e10=-(10**10), requests=-3))
    usage, amount = group_rows([*one, *three])
    assert (usage["PricingQuantity"], usage["ContractedUnitPrice"]) == (-2, 0)
    assert (usage["BilledCost"], amount["BilledCost"]) == (0, 4)
    assert violations(usage, "1.2") == violations(amount, "1.2") == []


def test_a_price_in_credits_is_not_averaged_and_rounding_is_moved_in_credits_too() -> None:
    call = rated_call({"input_tokens": 1}, {"input_tokens": ("0.01875", 10**6)})
    rows = [in_virtual_currency(row, "Credits", Decimal(100)) for row in rows_of(call)]
    usage, rounding = group_rows(row for _ in range(1000) for row in rows)
    assert usage["PricingCurrencyContractedUnitPrice"] == Decimal("1.875")
    assert rounding["PricingCurrencyEffectiveCost"] == Decimal("0.000005")
    assert sum_of([usage, rounding], "PricingCurrencyEffectiveCost") == Decimal("0.00188")
    alone = [rows_of(focus_call(cost_e10=cost)) for cost in (1, 2)]
    kept = group_rows(in_virtual_currency(row, "Credits", Decimal(2)) for (row,) in alone)
    assert len(kept) == 2


def test_every_column_is_summed_or_compared_or_of_one_call() -> None:
    row = rows_of(focus_call())[0]
    prices = {name for name in row if name.endswith("UnitPrice")}
    names = [*KEY, *SUMMED, *prices, "x_CallId", "x_Metadata", "ContractApplied"]
    assert Counter(names) == Counter(list(row))


def test_roundings_at_two_prices_of_a_sku_are_one_amount() -> None:
    calls = [
        rated_call({"input_tokens": 1}, {"input_tokens": (price, 10**6)})
        for price in ("0.01875", "0.03375")
    ]
    grouped = group_rows(row for _ in range(1000) for call in calls for row in rows_of(call))
    assert [row["ChargeCategory"] for row in grouped] == ["Usage", "Adjustment", "Usage"]
    assert group_rows(grouped) == grouped
    assert to_e10(sum_of(grouped, "BilledCost")) == 1000 * (188 + 338)


def test_an_amount_of_one_group_leaves_the_other_groups_whole() -> None:
    rounded = rated_call({"input_tokens": 1}, {"input_tokens": ("0.01875", 10**6)})
    exact = rated_call({"input_tokens": 1}, {"input_tokens": ("2", 10**6)}, model="gpt-6")
    grouped = group_rows(row for _ in range(1000) for row in (*rows_of(rounded), *rows_of(exact)))
    assert [row["ChargeCategory"] for row in grouped] == ["Usage", "Adjustment", "Usage"]
    assert grouped[2]["BilledCost"] == Decimal("0.002")
    assert to_e10(sum_of(grouped, "BilledCost")) == 1000 * (188 + 20_000)


@pytest.mark.parametrize(("tokens", "categories"), [
    (10**8, ["Usage"]),  # 1,000 x 0.5E-10 of 1,875: within 1e-9 of the cost
    (10**6, ["Usage", "Adjustment"]),  # of 18.75: 2.7e-9 of it
])  # fmt: skip
def test_what_rounding_may_leave_grows_with_the_cost(tokens: int, categories: list[str]) -> None:
    call = rated_call({"input_tokens": tokens + 1}, {"input_tokens": ("0.01875", 10**6)})
    grouped = group_rows(row for _ in range(1000) for row in rows_of(call))
    assert [row["ChargeCategory"] for row in grouped] == categories
    assert [fault for row in grouped for fault in violations(row, "1.2")] == []
