"""Reserve, settle, release: what is held, what is given back, what is refused."""

from __future__ import annotations

from decimal import Decimal

from tests.support.application import Application
from tests.support.budgets import assert_counted, budget, make_budget, reserve, settle
from tests.support.calls import accepted, assert_proven, body_of, error, record, send, usage


def test_an_amount_fits_to_its_last_digit(application: Application) -> None:
    made = make_budget(application, amount="1", enforcement="hard")
    held = accepted(reserve(application, "0.9999999999"), 201)
    assert held["budgets"] == [
        {
            "id": made["id"], "name": "test", "enforcement": "hard",
            "remaining": Decimal("0.0000000001"), "utilization": 0, "exceeded": False,
        }
    ]  # fmt: skip
    refused = error(reserve(application, "0.0000000002"), 402, "BUDGET_EXCEEDED")
    assert refused["budget_id"] == made["id"]
    assert refused["remaining"] == Decimal("0.0000000001")
    accepted(reserve(application, "0.0000000001"), 201)
    error(reserve(application, "0.0000000001"), 402, "BUDGET_EXCEEDED")
    accepted(reserve(application, "0"), 201)
    assert budget(application, made["id"])["remaining"] == 0
    assert_counted(application)


def test_settling_books_the_cost_and_gives_back_the_rest(application: Application) -> None:
    made = make_budget(application, amount="10", enforcement="hard")
    held = accepted(reserve(application, "8"), 201)
    done = accepted(settle(application, held, cost="2.5"), 200)
    assert (done["status"], done["cost"], done["released"]) == (
        "settled", Decimal("2.5"), Decimal("5.5"),
    )  # fmt: skip
    now = budget(application, made["id"])
    assert (now["spent"], now["reserved"], now["remaining"]) == (Decimal("2.5"), 0, Decimal("7.5"))
    assert now["utilization"] == Decimal("0.25")
    again = accepted(settle(application, held, cost="2.5"), 200)
    assert again == done
    error(settle(application, held, cost="2.6"), 409, "CONFLICT")
    error(send(application, f"/budgets/reservations/{held['id']}/release", {}), 409, "CONFLICT")
    assert_proven(application, "2.5")
    assert_counted(application)


def test_releasing_gives_everything_back(application: Application) -> None:
    made = make_budget(application, amount="10", enforcement="hard")
    held = accepted(reserve(application, "8"), 201)
    path = f"/budgets/reservations/{held['id']}/release"
    done = accepted(send(application, path, {}), 200)
    assert (done["status"], done["released"]) == ("released", 8)
    assert accepted(application.post(f"/api/v1{path}"), 200) == done
    error(settle(application, held, cost="1"), 409, "CONFLICT")
    assert budget(application, made["id"])["reserved"] == 0
    assert_proven(application, 0)


def test_recorded_usage_counts_and_is_never_refused(application: Application) -> None:
    made = make_budget(application, amount="0.001", enforcement="hard", start_date="2025-06-01",
                       end_date="2025-06-30", period="custom")  # fmt: skip
    answer = record(application, usage("a"), usage("b"))
    spent = sum(r["total_cost"] for r in answer["results"])
    found = body_of(application.get(f"/api/v1/budgets/{made['id']}"))
    assert found["active"] is False
    assert spent > 0
    assert_counted(application)


def test_an_ask_has_the_labels_of_a_call(application: Application) -> None:
    metadata = make_budget(application, amount=1, enforcement="hard", metadata={"k": "v"})
    for bad in ({"metadata": {"a\x00": 1}}, {"metadata": [1]}, {"tags": [" x"]},
                {"team_id": "a\x00"}, {"colour": 1}, {"service_tier": "a\x00"}):  # fmt: skip
        assert reserve(application, "1", **bad).status_code in (400, 422)
    error(reserve(application, None), 422)
    error(reserve(application, None, provider="openai", model="gpt-4o"), 422)
    error(reserve(application, "1", metadata={"k": "v"}, ttl_seconds=0), 422)
    accepted(reserve(application, "1", metadata={"k": "v", "n": 2}), 201)
    error(reserve(application, "1", metadata={"k": "v"}), 402)
    accepted(reserve(application, "1", metadata={"k": "w"}), 201)
    assert budget(application, metadata["id"])["reserved"] == 1


def test_the_same_key_reserves_once(application: Application) -> None:
    made = make_budget(application, amount=1, enforcement="hard")
    body = {"estimated_cost": "0.7"}
    headers = {"Idempotency-Key": "one"}
    first = send(application, "/budgets/reserve", body, headers=headers)
    again = send(application, "/budgets/reserve", body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.text == again.text
    assert again.headers["Idempotency-Replayed"] == "true"
    other = send(application, "/budgets/reserve", {"estimated_cost": "0.1"}, headers=headers)
    error(other, 422, "IDEMPOTENCY_KEY_REUSED")
    assert budget(application, made["id"])["reserved"] == Decimal("0.7")


def test_without_a_limit_the_model_gives_its_own(application: Application) -> None:
    make_budget(application, amount=1, enforcement="hard")
    call = {"provider": "openai", "model": "gpt-4o", "input_tokens": 1000}
    most = accepted(reserve(application, None, **call), 201)
    assert (most["basis"], most["max_tokens"]) == ("model_maximum", 16384)
    stated = accepted(reserve(application, None, **call, max_tokens=16384), 201)
    assert stated["amount"] == most["amount"]
    assert stated["basis"] == "upper_bound"
    assert "max_tokens" not in stated
    checked = accepted(send(application, "/budgets/check", call), 200)
    assert (checked["basis"], checked["max_tokens"]) == ("model_maximum", 16384)
    unlimited = {**call, "model": "nobody-knows"}
    refused = error(reserve(application, None, **unlimited), 422)
    assert list(refused["field_errors"]) == ["max_tokens"]
