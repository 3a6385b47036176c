"""`?correct=true`: a log that reports a call again with other counts; the last counts stand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.application import Application
from tests.support.calls import (
    accepted,
    assert_proven,
    body_of,
    cost_row,
    count,
    error,
    put,
    record,
    send,
    set_price,
    statuses,
    usage,
)

BATCH = "/usage/batch?correct=true"
JUNE = {"start_date": "2025-06-01", "end_date": "2025-06-30", "dry_run": False}


def grow(app: Application, *calls: dict[str, Any]) -> Any:
    return accepted(send(app, BATCH, list(calls)), 200)


def entries(app: Application, record_id: str) -> list[tuple[str, Decimal, int]]:
    rows = body_of(app.get(f"/api/v1/costs/{record_id}/entries"))["data"]
    return [(row["kind"], row["cost"], row["prompt_tokens"]) for row in rows]


def test_other_counts_are_a_correction(application: Application) -> None:
    set_price(application)
    (first,) = grow(application, usage("e"))["results"]
    assert (first["status"], first["total_cost"]) == ("created", Decimal("0.006"))
    answer = grow(application, usage("e", prompt_tokens=3000, cached_tokens=1000))
    assert (answer["created"], answer["duplicates"], answer["corrected"], answer["failed"]) == (
        0, 0, 1, 0,
    )  # fmt: skip
    (again,) = answer["results"]
    assert (again["id"], again["cost_status"]) == (first["id"], "partially_priced")
    assert grow(application, usage("e", prompt_tokens=3000))["corrected"] == 1
    row = cost_row(application, first["id"])
    assert (row["prompt_tokens"], row["cached_tokens"], row["total_tokens"]) == (3000, 0, 3500)
    assert (row["total_cost"], row["cost_status"]) == (Decimal("0.01"), "priced")
    assert sum(line["amount"] for line in row["lines"]) == row["total_cost"]
    assert [kind for kind, _, _ in entries(application, first["id"])] == [
        "call", "recount", "recount",
    ]  # fmt: skip
    assert sum(cost for _, cost, _ in entries(application, first["id"])) == row["total_cost"]
    summary = body_of(application.get("/api/v1/costs/summary?start_date=2025-06-15"))
    assert (summary["total_cost"], summary["total_requests"]) == (Decimal("0.01"), 1)
    assert (summary["total_tokens"], summary["partially_priced_count"]) == (3500, 0)
    assert_proven(application, "0.01")


def test_the_same_counts_and_those_before_are_duplicates(application: Application) -> None:
    small, large = usage("e"), usage("e", prompt_tokens=2000)
    assert statuses(grow(application, small)) == ["created"]
    assert statuses(grow(application, large)) == ["corrected"]
    assert statuses(grow(application, large)) == ["duplicate"]
    assert statuses(grow(application, small)) == ["duplicate"]
    assert statuses(record(application, large)) == ["duplicate"]
    assert statuses(record(application, small)) == ["duplicate"]
    answer = accepted(send(application, "/usage/batch", [usage("e", prompt_tokens=5)]), 207)
    assert statuses(answer) == ["conflict"]
    assert count(application, "usage_corrections") == 1
    assert_proven(application)


def test_a_log_may_report_a_call_several_times_in_one_batch(application: Application) -> None:
    set_price(application)
    steps = [usage("e", prompt_tokens=n * 1000) for n in (1, 2, 3)]
    answer = grow(application, usage("other"), *steps, steps[-1])
    assert statuses(answer)[:3] == ["created", "created", "corrected"]
    assert sorted(statuses(answer)[3:]) == ["corrected", "duplicate"]
    assert len({result["id"] for result in answer["results"][1:]}) == 1
    assert {result["total_cost"] for result in answer["results"][1:]} == {Decimal("0.010")}
    assert count(application, "usage_records") == 2
    assert count(application, "usage_corrections") == 0
    assert assert_proven(application, "0.016").records == 2
    # The whole log once more, then with one line more.
    again = grow(application, *steps)
    assert statuses(again) == ["duplicate"] * 3
    more = grow(application, *steps, usage("e", prompt_tokens=4000))
    assert statuses(more)[-1] == "corrected"
    assert count(application, "usage_corrections") == 1
    assert_proven(application, "0.018")


def test_another_model_under_the_same_event_id_stays_a_conflict(application: Application) -> None:
    record(application, usage("e"))
    for change in ({"model": "gpt-4o-mini"}, {"provider": "azure"}):
        answer = accepted(send(application, BATCH, [usage("e", **change)]), 207)
        assert statuses(answer) == ["conflict"]
    twice = [usage("e", model="gpt-4o-mini"), usage("e", model="gpt-4o-mini")]
    assert statuses(accepted(send(application, BATCH, twice), 207)) == ["conflict", "conflict"]
    assert count(application, "usage_corrections") == 0
    assert count(application, "audit_log", "action = 'usage.conflict'") == 4
    error(send(application, "/usage?correct=true", usage("e", provider="azure")), 409, "CONFLICT")


def test_a_call_that_was_taken_back_stays_so(application: Application) -> None:
    (made,) = record(application, usage("e"))["results"]
    assert statuses(grow(application, usage("e", prompt_tokens=2000))) == ["corrected"]
    assert application.delete(f"/api/v1/costs/{made['id']}").status_code == 204
    for sent in (usage("e"), usage("e", prompt_tokens=2000)):
        for path in (BATCH, "/usage/batch"):
            (result,) = accepted(send(application, path, [sent]), 200)["results"]
            assert (result["status"], result["cost_status"]) == ("duplicate", "voided")
            assert (result["id"], result["total_cost"]) == (made["id"], 0)
    (result,) = grow(application, usage("e", prompt_tokens=7))["results"]
    assert (result["status"], result["cost_status"]) == ("duplicate", "voided")
    assert application.get(f"/api/v1/costs/{made['id']}").status_code == 404
    assert assert_proven(application, 0).records == 0


def test_counts_after_a_re_rating_have_the_new_price(application: Application) -> None:
    price = set_price(application)
    (made,) = record(application, usage("e"))["results"]
    accepted(put(application, f"/pricing/{price['id']}", {"input_price_per_million": 20}), 200)
    assert accepted(send(application, "/pricing/rerate", JUNE))["records"] == 1
    assert cost_row(application, made["id"])["total_cost"] == Decimal("0.024")
    grow(application, usage("e", prompt_tokens=2000))
    assert cost_row(application, made["id"])["total_cost"] == Decimal("0.044")
    assert accepted(send(application, "/pricing/rerate", JUNE))["records"] == 0
    assert [kind for kind, _, _ in entries(application, made["id"])] == [
        "call", "rerate", "recount",
    ]  # fmt: skip
    # A record still waiting for its re-rating is counted anew at today's price, too.
    accepted(put(application, f"/pricing/{price['id']}", {"input_price_per_million": 2}), 200)
    grow(application, usage("e", prompt_tokens=3000))
    assert cost_row(application, made["id"])["total_cost"] == Decimal("0.010")
    assert_proven(application, "0.010")


def test_counts_keep_the_labels_and_the_context_of_the_call(application: Application) -> None:
    set_price(application)
    set_price(application, service_tier="flex", prices={
        "input_tokens": {"price": 1, "per": 1_000_000},
        "output_tokens": {"price": 1, "per": 1_000_000},
    })  # fmt: skip
    (made,) = record(
        application, usage("e", service_tier="flex", user_id="ann", metadata={"a": 1})
    )["results"]
    grow(application, usage("e", prompt_tokens=2000, user_id="bob", metadata={"b": 1}))
    row = cost_row(application, made["id"])
    assert (row["service_tier"], row["total_cost"]) == ("flex", Decimal("0.0025"))
    assert (row["user_id"], row["metadata"]) == ("ann", {"a": 1})
    assert_proven(application, "0.0025")


def test_usage_by_kind_is_replaced_whole(application: Application) -> None:
    kinds = {"input_tokens": 100, "output_tokens": 10, "audio_seconds": 2}
    sent = {**usage("e", prompt_tokens=None, completion_tokens=None), "usage": kinds}
    (made,) = record(application, sent)["results"]
    assert cost_row(application, made["id"])["usage"] == kinds
    grown = {**sent, "usage": {"input_tokens": 300, "output_tokens": 30}}
    assert statuses(grow(application, grown)) == ["corrected"]
    row = cost_row(application, made["id"])
    assert row["usage"] == {"input_tokens": 300, "output_tokens": 30}
    assert row["cost_status"] == "priced"
    assert_proven(application)


def test_a_stated_cost_can_be_stated_again(application: Application) -> None:
    cost = {"model": "gpt-4o", "cost": "0.25", "tokens_used": 10, "event_id": "c"}
    (made,) = accepted(send(application, "/costs/bulk", [cost]), 200)["results"]
    path = "/costs/bulk?correct=true"
    again = {**cost, "cost": "0.75", "tokens_used": 30}
    (row,) = accepted(send(application, path, [again]), 200)["results"]
    assert (row["status"], row["id"], row["total_cost"]) == (
        "corrected", made["id"], Decimal("0.75"),
    )  # fmt: skip
    euros = {**again, "currency": "EUR"}
    (row,) = accepted(send(application, path, [euros]), 200)["results"]
    assert (row["currency"], row["total_cost"], row["tokens_used"]) == ("EUR", Decimal("0.75"), 30)
    found = assert_proven(application)
    assert found.totals == {"EUR": Decimal("0.75"), "USD": Decimal(0)}
    # No price book changes what its caller stated.
    assert accepted(send(application, "/pricing/rerate", {
        **JUNE, "start_date": "2020-01-01", "end_date": "2030-01-01",
    }))["records"] == 0  # fmt: skip


@pytest.mark.parametrize("value", ["yes", "2"])
def test_the_flag_is_read_strictly(sqlite_application: Application, value: str) -> None:
    answer = send(sqlite_application, f"/usage/batch?correct={value}", [usage("e")])
    assert "correct" in error(answer, 422)["field_errors"]
