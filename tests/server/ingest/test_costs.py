"""`POST /api/v1/costs` and `/costs/bulk`: what the caller says that a call cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.application import Application
from tests.support.calls import (
    JSON,
    accepted,
    assert_proven,
    body_of,
    count,
    error,
    proof,
    record,
    send,
    usage,
)


def cost(**fields: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "tokens_used": 1200, "cost": "0.036", **fields}


def test_the_row_has_every_documented_name(application: Application) -> None:
    sent = cost(user_id="u", metadata={"m": 1}, timestamp="2025-06-15")
    answer = send(application, "/costs", sent)
    row = body_of(answer)
    assert answer.status_code == 201
    shown = ("model", "tokens_used", "cost", "amount", "user_id", "metadata", "source", "provider")
    assert {name: row[name] for name in shown} == {
        "model": "gpt-4o", "tokens_used": 1200, "cost": Decimal("0.036"),
        "amount": Decimal("0.036"), "user_id": "u", "metadata": {"m": 1}, "source": "manual",
        "provider": "openai",
    }  # fmt: skip
    assert (row["created_at"], row["cost_status"]) == ("2025-06-15T00:00:00Z", "priced")
    assert_proven(application, "0.036")


@pytest.mark.parametrize(
    "spelled",
    [
        {"model": "gpt-4o", "tokensUsed": 5, "cost": Decimal("0.5")},
        {"model_id": "gpt-4o", "total_tokens": 5, "amount": "0.5"},
        {"modelName": "gpt-4o", "tokens": 5, "totalCost": Decimal("0.50")},
    ],
)
def test_other_spellings(sqlite_application: Application, spelled: dict[str, Any]) -> None:
    row = body_of(send(sqlite_application, "/costs", spelled))
    assert (row["model"], row["tokens_used"], row["cost"]) == ("gpt-4o", 5, Decimal("0.5"))


def test_a_model_that_nobody_sells_is_custom(sqlite_application: Application) -> None:
    assert body_of(send(sqlite_application, "/costs", cost(model="own")))["provider"] == "custom"
    named = body_of(send(sqlite_application, "/costs", cost(provider="anthropic")))
    assert named["provider"] == "anthropic"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("0", "0"),
        ("0.1000000000000000055", "0.1"),
        ("1e-10", "0.0000000001"),
        ("0.00000000005", "0"),
        ("0.00000000015", "0.0000000002"),
        ("0.000000000050000000001", "0.0000000001"),
        ("1E2", "100"),
        ("100000000", "100000000"),
        ('"0.25"', "0.25"),
        ('"99999999.9999999999"', "99999999.9999999999"),
    ],
)
def test_amounts_are_exact_and_rounded_half_even_once(
    application: Application, text: str, stored: str
) -> None:
    body = f'{{"model":"m","cost":{text}}}'
    answer = application.post("/api/v1/costs", content=body, headers=JSON)
    assert accepted(answer, 201)["cost"] == Decimal(stored)
    assert_proven(application, stored)


@pytest.mark.parametrize(
    "text",
    [
        "100000000.0000000001",
        "-0.01",
        "1E+999999",
        "1e99",
        "9" * 30,
        '"1_0"',
        '"\uff11\uff12"',
        '"NaN"',
        '"Infinity"',
        '" 1"',
        '""',
        "true",
        "null",
        "[]",
        '"0x10"',
    ],
)
def test_what_is_no_amount_is_refused(sqlite_application: Application, text: str) -> None:
    body = f'{{"model":"m","cost":{text}}}'
    answer = sqlite_application.post("/api/v1/costs", content=body.encode(), headers=JSON)
    assert answer.status_code in (400, 422), answer.text
    bulk = sqlite_application.post("/api/v1/costs/bulk", content=f"[{body}]".encode(), headers=JSON)
    assert bulk.status_code in (400, 207)
    assert count(sqlite_application, "usage_records") == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"cost": None}, "cost"),
        ({"model": None}, "model"),
        ({"tokens_used": -1}, "tokens_used"),
        ({"tokens_used": 2**53}, "tokens_used"),
        ({"currency": "EURO"}, "currency"),
        ({"currency": "e1r"}, "currency"),
        ({"timestamp": "soon"}, "timestamp"),
        ({"prompt_tokens": 5}, "prompt_tokens"),
    ],
)
def test_faults_name_their_field(
    sqlite_application: Application, change: dict[str, Any], field: str
) -> None:
    refused = error(send(sqlite_application, "/costs", cost(**change)), 422)
    assert list(refused["field_errors"]) == [field]


def test_the_most_tokens_that_one_record_can_have(application: Application) -> None:
    assert send(application, "/costs", cost(tokens_used=2**53 - 1)).status_code == 201
    assert_proven(application)


def test_currencies_are_never_added(application: Application) -> None:
    send(application, "/costs", cost(currency="eur"))
    send(application, "/costs", cost(cost="1"))
    found = proof(application)
    assert found.ok
    assert found.totals == {"EUR": Decimal("0.036"), "USD": Decimal(1)}
    assert found.total_cost is None


def test_credits_come_from_imports_only(application: Application) -> None:
    error(send(application, "/costs", cost(cost="-1")), 422)
    started = accepted(send(application, "/imports", {"format": "openai-costs"}), 201)
    answer = send(application, f"/costs/bulk?import_id={started['id']}", [cost(cost="-1.5")])
    assert accepted(answer, 200)["results"][0]["cost"] == Decimal("-1.5")
    assert_proven(application, "-1.5")


def test_each_result_of_a_bulk_is_the_row(application: Application) -> None:
    sent = [cost(event_id=f"c{n}", cost=str(n)) for n in range(3)]
    answer = accepted(send(application, "/costs/bulk", {"entries": [*sent, {"model": "m"}]}), 207)
    rows = answer["results"]
    assert [(r["index"], r["status"]) for r in rows] == [
        (0, "created"), (1, "created"), (2, "created"), (3, "invalid"),
    ]  # fmt: skip
    assert [row["cost"] for row in rows[:3]] == [0, 1, 2]
    assert rows[0]["source"] == "manual"
    lines = accepted(
        application.post(
            "/api/v1/costs/bulk",
            content=b'{"model":"m","cost":1}\n{"model":"m","cost":2}\n',
            headers={"Content-Type": "application/jsonl"},
        ),
        200,
    )
    assert lines["created"] == 2
    assert_proven(application, 6)


def test_sums_beyond_64_bits_stay_exact(application: Application) -> None:
    """Ten of the largest amounts are more than a signed 64-bit integer of 1e-10 units holds."""
    dear = [cost(cost="99999999.9999999999", event_id=f"d{n}") for n in range(25)]
    accepted(send(application, "/costs/bulk", dear), 200)
    assert_proven(application, "2499999999.9999999975")
    accepted(
        send(application, "/costs/bulk", [{**c, "event_id": "x" + c["event_id"]} for c in dear])
    )
    assert_proven(application, "4999999999.9999999950")


def test_token_sums_that_leave_64_bits_are_refused_and_not_rounded(
    application: Application,
) -> None:
    most = usage(model="unknown", prompt_tokens=2**53 - 1, completion_tokens=2**53 - 1)
    record(application, *([most] * 500))
    for size in (20, 1000):
        refused = error(send(application, "/usage/batch", [most] * size), 422)
        assert list(refused["field_errors"]) == ["usage"]
    small = usage(model="unknown", prompt_tokens=1)
    record(application, small)
    assert count(application, "usage_records") == 501
    assert_proven(application)
