"""Prices that depend on the month's volume: in order, late, at once, corrected and back-filled."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from tests.support.application import Application
from tests.support.calls import (
    accepted,
    assert_proven,
    body_of,
    cost_row,
    put,
    record,
    select_all,
    send,
    set_price,
    usage,
)

JUNE = {"start_date": "2025-06-01", "end_date": "2025-06-30", "dry_run": False}
TIERS = [
    {"up_to": 1_000, "price_per_million": 1000},
    {"up_to": 3_000, "price_per_million": 100},
    {"price_per_million": 10},
]


def tiered(app: Application, mode: str = "graduated", **fields: Any) -> Any:
    structure = {"type": "tiered", "mode": mode, "tiers": TIERS}
    return set_price(app, pricing_structure=structure, **fields)


def call(event_id: str, tokens: int, **fields: Any) -> dict[str, Any]:
    return usage(event_id, prompt_tokens=tokens, completion_tokens=0, **fields)


def costs(app: Application, *calls: dict[str, Any]) -> list[Decimal]:
    return [result["total_cost"] for result in record(app, *calls)["results"]]


def checked_lines(app: Application) -> Decimal:
    """Every call's lines add up to its cost; the sum of all."""
    rows = body_of(app.get("/api/v1/costs?limit=1000"))["data"]
    for row in rows:
        lines = cost_row(app, row["id"])["lines"]
        assert sum(line["amount"] for line in lines) == row["total_cost"], (row, lines)
    return Decimal(sum(row["total_cost"] for row in rows))


def test_graduated_tokens_fall_into_tiers_as_they_come(application: Application) -> None:
    tiered(application)
    assert costs(application, call("a", 600), call("b", 600), call("c", 2_000)) == [
        Decimal("0.6"), Decimal("0.42"), Decimal("0.182"),
    ]  # fmt: skip
    assert costs(application, call("c", 2_000), call("d", 100)) == [
        Decimal("0.182"), Decimal("0.001"),
    ]  # fmt: skip
    # Another month and another model begin anew; a late call takes the volume that it meets.
    july, other = {"timestamp": "2025-07-01T00:00:00Z"}, {"model": "gpt-4o-mini"}
    tiered(application, model="gpt-4o-mini")
    assert costs(
        application, call("j", 100, **july), call("m", 100, **other),
        call("late", 100, timestamp="2025-06-01T00:00:00Z"),
    ) == [Decimal("0.1"), Decimal("0.1"), Decimal("0.001")]  # fmt: skip
    assert_proven(application, "1.404")
    assert checked_lines(application) == Decimal("1.404")


def test_whole_volume_prices_a_call_at_the_tier_it_reaches(application: Application) -> None:
    tiered(application, "volume")
    assert costs(application, call("a", 1_000), call("b", 1), call("c", 1_999), call("d", 1)) == [
        Decimal(1),
        Decimal("0.0001"),
        Decimal("0.1999"),
        Decimal("0.00001"),
    ]
    assert_proven(application)
    checked_lines(application)


@pytest.mark.parametrize("mode", ["graduated", "volume"])
def test_writers_at_once_share_one_volume(application: Application, mode: str) -> None:
    """Whatever the order, each token of the month is priced once, in one place of the tiers."""
    tiered(application, mode)

    def post(part: int) -> Any:
        calls = [call(f"e{part}-{n}", 50) for n in range(10)]
        return accepted(send(application, "/usage/batch", calls), 200)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(8)))
    found = sorted((r["total_cost"] for a in answers for r in a["results"]), reverse=True)
    # 4,000 tokens in calls of 50: 20 of them end within the first tier, 40 within the second.
    expected = [Decimal("0.05")] * 20 + [Decimal("0.005")] * 40 + [Decimal("0.0005")] * 20
    assert found == expected
    volumes = select_all(application, "SELECT volume FROM usage_records ORDER BY volume")
    assert [row[0] for row in volumes] == list(range(0, 4_000, 50))
    assert_proven(application, sum(expected))


def test_included_requests_are_free_and_the_rest_costs(application: Application) -> None:
    set_price(application, pricing_structure={
        "type": "per_request", "price_per_request": "0.01", "included_requests": 2,
        "overage_price_per_request": "0.05",
    })  # fmt: skip
    prices = costs(application, *(call(f"e{n}", 10) for n in range(4)))
    assert prices == [Decimal("0.01")] * 2 + [Decimal("0.05")] * 2
    assert costs(application, call("e0", 10), call("e9", 10)) == [Decimal("0.01"), Decimal("0.05")]
    assert costs(application, call("j", 10, timestamp="2025-07-01T00:00:00Z")) == [Decimal("0.01")]
    assert_proven(application, "0.18")
    checked_lines(application)


def test_a_formula_prices_what_the_call_used(application: Application) -> None:
    set_price(application, pricing_structure={
        "type": "formula", "expression": "0.001 * input_tokens + max(output_tokens, 10) * 0.01",
    })  # fmt: skip
    prices = costs(application, usage("a", prompt_tokens=5, completion_tokens=1),
                   usage("b", prompt_tokens=0, completion_tokens=20))  # fmt: skip
    assert prices == [Decimal("0.105"), Decimal("0.2")]
    assert_proven(application, "0.305")
    assert checked_lines(application) == Decimal("0.305")


def test_back_filled_calls_show_the_lines_of_their_volume(application: Application) -> None:
    """Recorded without a price and in another order, they take their places by their times."""
    model = {"model": "own-model", "provider": "custom"}
    late = [
        call("c", 2_000, timestamp="2025-06-03T00:00:00Z", **model),
        call("a", 600, timestamp="2025-06-01T00:00:00Z", **model),
        call("b", 600, timestamp="2025-06-02T00:00:00Z", **model),
    ]
    made = record(application, *late)["results"]
    assert {result["cost_status"] for result in made} == {"unpriced"}
    price = tiered(application, provider="custom", model="own-model")
    assert price["priced_records"] == 3
    shown = [cost_row(application, result["id"]) for result in made]
    assert [row["total_cost"] for row in shown] == [
        Decimal("0.182"), Decimal("0.6"), Decimal("0.42"),
    ]  # fmt: skip
    assert checked_lines(application) == Decimal("1.202")
    # A later call goes on from there, a call in between does not move those that were priced.
    assert costs(application, call("d", 100, timestamp="2025-06-01T12:00:00Z", **model)) == [
        Decimal("0.001")
    ]
    assert accepted(send(application, "/pricing/rerate", JUNE))["records"] == 0
    # Other counts keep the place.
    grown = {**late[0], "prompt_tokens": 1_800}
    answer = accepted(send(application, "/usage/batch?correct=true", [grown]), 200)
    assert answer["results"][0]["total_cost"] == Decimal("0.18")
    assert checked_lines(application) == Decimal("1.201")
    assert_proven(application, "1.201")


def test_counts_of_a_call_that_never_had_a_volume_find_one(application: Application) -> None:
    """Priced by the token when recorded, it is counted again when the price goes by volume."""
    flat = set_price(application)
    record(application, call("a", 1_500), call("b", 1_000, timestamp="2025-06-16T00:00:00Z"))
    structure = {"type": "tiered", "tiers": TIERS}
    accepted(put(application, f"/pricing/{flat['id']}", {"pricing_structure": structure}), 200)
    grown = call("b", 1_200, timestamp="2025-06-16T00:00:00Z")
    (result,) = accepted(send(application, "/usage/batch?correct=true", [grown]), 200)["results"]
    assert result["total_cost"] == Decimal("0.12")
    assert checked_lines(application) == Decimal("0.123")
    assert_proven(application, "0.123")


def test_a_call_keeps_its_volume_through_other_prices(application: Application) -> None:
    price = tiered(application)
    record(application, call("a", 600), call("b", 600))
    # What came later in the month but is earlier in time must not move them.
    record(application, call("c", 900, timestamp="2025-06-01T00:00:00Z"))
    total = assert_proven(application).total_cost
    flat = {"type": "per_token", "input_price_per_million": 1, "output_price_per_million": 1}
    accepted(put(application, f"/pricing/{price['id']}", {"pricing_structure": flat}), 200)
    assert accepted(send(application, "/pricing/rerate", JUNE))["records"] == 3
    assert checked_lines(application) == Decimal("0.0021")
    again = {"type": "tiered", "tiers": TIERS}
    accepted(put(application, f"/pricing/{price['id']}", {"pricing_structure": again}), 200)
    assert accepted(send(application, "/pricing/rerate", JUNE))["records"] == 3
    assert checked_lines(application) == total
    # Another measure than that of the recorded volume is counted by time.
    calls = {"type": "per_request", "price_per_request": 1, "included_requests": 1,
             "overage_price_per_request": 5}  # fmt: skip
    accepted(put(application, f"/pricing/{price['id']}", {"pricing_structure": calls}), 200)
    preview = accepted(send(application, "/pricing/rerate", {**JUNE, "dry_run": True}))
    applied = accepted(send(application, "/pricing/rerate", JUNE))
    assert preview["new_total"] == applied["new_total"] == 11
    assert checked_lines(application) == 11
    assert accepted(send(application, "/pricing/rerate", JUNE))["records"] == 0
    assert_proven(application, 11)


def test_calls_that_are_taken_back_leave_the_volume(application: Application) -> None:
    tiered(application)
    (made,) = record(application, call("a", 900))["results"]
    assert application.delete(f"/api/v1/costs/{made['id']}").status_code == 204
    assert costs(application, call("b", 1_000)) == [Decimal(1)]
    assert_proven(application, 1)


def test_a_discount_on_the_book_leaves_own_prices_alone(application: Application) -> None:
    tiered(application)
    discount = {"label": "ten", "discount_percent": 10, "effective_date": "2025-01-01"}
    accepted(send(application, "/pricing/adjustments", discount), 201)
    (made,) = record(application, call("a", 2_000))["results"]
    row = cost_row(application, made["id"])
    assert (row["total_cost"], row["list_cost"]) == (Decimal("1.1"), Decimal("1.1"))
    assert checked_lines(application) == Decimal("1.1")
    assert_proven(application, "1.1")
