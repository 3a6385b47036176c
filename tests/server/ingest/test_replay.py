"""The same calls again, and at once: one effect in rows, rollups and outbox (fault rows 10, 11)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.db.urls import DatabaseKind
from tests.support.application import Application
from tests.support.calls import (
    JSON,
    accepted,
    assert_proven,
    body_of,
    count,
    put,
    record,
    select_all,
    send,
    set_price,
    statuses,
    usage,
)

BATCH = [
    usage(f"e{n}", prompt_tokens=n + 1, user_id=f"u{n % 7}", project_id=f"p{n % 5}")
    for n in range(200)
]


def test_a_batch_sent_ten_times_has_one_effect(application: Application) -> None:
    set_price(application)
    answers = [record(application, *BATCH) for _ in range(10)]
    assert [answer["created"] for answer in answers] == [200] + [0] * 9
    assert [answer["duplicates"] for answer in answers] == [0] + [200] * 9
    expected = [(r["id"], r["total_cost"]) for r in answers[0]["results"]]
    for answer in answers[1:]:
        assert [(r["id"], r["total_cost"]) for r in answer["results"]] == expected
    assert count(application, "usage_records") == 200
    assert count(application, "outbox", "topic = 'usage.recorded'") == 1
    assert assert_proven(application).records == 200


def test_a_batch_sent_by_eight_at_once_has_one_effect(application: Application) -> None:
    set_price(application)
    body = dumps(BATCH)

    def post(_: int) -> Any:
        return application.post("/api/v1/usage/batch", content=body, headers=JSON)

    with ThreadPoolExecutor(8) as pool:
        answers = [accepted(answer, 200) for answer in pool.map(post, range(8))]
    assert sum(answer["created"] for answer in answers) == 200
    assert sum(answer["duplicates"] for answer in answers) == 1400
    ids = {tuple(result["id"] for result in answer["results"]) for answer in answers}
    assert len(ids) == 1
    assert count(application, "usage_records") == 200
    assert assert_proven(application).records == 200


def test_overlapping_batches_in_opposite_orders_lose_and_double_nothing(
    application: Application,
) -> None:
    orders = [BATCH, BATCH[::-1], BATCH[100:] + BATCH[:100], BATCH[::2] + BATCH[1::2]]

    def post(batch: list[dict[str, Any]]) -> Any:
        return send(application, "/usage/batch", batch)

    with ThreadPoolExecutor(4) as pool:
        answers = [accepted(answer, 200) for answer in pool.map(post, orders)]
    assert sum(answer["created"] for answer in answers) == 200
    assert assert_proven(application).records == 200


@pytest.mark.parametrize(
    "same",
    [
        usage("e", timestamp="2025-06-15T14:00:00+02:00"),
        usage("e", timestamp="2025-06-15 12:00"),
        usage("e", total_tokens=1500),
        usage("e", metadata={"b": {"y": 1, "x": [1]}, "a": 1}, tags=[]),
        {"promptTokens": 1000, "outputTokens": 500, "modelId": "gpt-4o", "provider": "openai",
         "eventId": "e", "timestamp": "2025-06-15T12:00:00Z",
         "metadata": {"a": 1, "b": {"x": [1], "y": 1}}},
    ],
)  # fmt: skip
def test_the_same_call_in_other_words_is_a_duplicate(
    sqlite_application: Application, same: dict[str, Any]
) -> None:
    app = sqlite_application
    metadata = {"a": 1, "b": {"x": [1], "y": 1}} if "metadata" in same else None
    first = record(app, usage("e", metadata=metadata))["results"][0]
    again = record(app, {**same, "organization_id": app.organization_id})["results"][0]
    assert (again["status"], again["id"]) == ("duplicate", first["id"])


def test_usage_and_responses_may_name_their_keys_in_any_order(
    sqlite_application: Application,
) -> None:
    counts = {"input_tokens": 5, "output_tokens": 4, "audio_seconds": 2}
    mixed = dict(reversed(list(counts.items())))
    for event, first, second in (("u", counts, mixed), ("r", counts, mixed)):
        key = "usage"
        if event == "r":
            key = "response"
            first = {"model": "gpt-4o", "object": "chat.completion", "usage": {
                "prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}}  # fmt: skip
            second = dict(reversed(list(first.items())))
        head = {"provider": "openai", "model": "gpt-4o", "event_id": event}
        sent = [record(sqlite_application, {**head, key: value}) for value in (first, second)]
        assert [statuses(answer)[0] for answer in sent] == ["created", "duplicate"]


@pytest.mark.parametrize(
    "change",
    [
        {"prompt_tokens": 1001},
        {"model": "gpt-4o-mini"},
        {"timestamp": "2025-06-15T12:00:01Z"},
        {"timestamp": None},
        {"user_id": "u"},
        {"tags": ["t"]},
        {"metadata": {"a": 1}},
        {"service_tier": "flex"},
        {"region": "us"},
        {"latency_ms": 1},
    ],
    ids=lambda change: ",".join(change),
)
def test_any_other_payload_is_a_conflict(
    sqlite_application: Application, change: dict[str, Any]
) -> None:
    record(sqlite_application, usage("e"))
    answer = send(sqlite_application, "/usage/batch", [usage("e", **change)])
    assert statuses(accepted(answer, 207)) == ["conflict"]


def test_a_duplicate_is_answered_with_what_is_stored_now(application: Application) -> None:
    price = set_price(application)
    first = body_of(send(application, "/usage", usage("e", metadata={"a": 1})))
    changed = application.request(
        "PATCH", f"/api/v1/costs/{first['id']}", json={"metadata": {"b": 2}, "tags": ["t"]}
    )
    accepted(changed, 200)
    again = body_of(send(application, "/usage", usage("e", metadata={"a": 1})))
    assert (again["result"], again["metadata"], again["tags"]) == ("duplicate", {"b": 2}, ["t"])
    assert again["received_at"] == first["received_at"]
    accepted(put(application, f"/pricing/{price['id']}", {"input_price_per_million": 4}), 200)
    window = {"start_date": "2025-06-01", "end_date": "2025-06-30", "dry_run": False}
    assert accepted(send(application, "/pricing/rerate", window))["records"] == 1
    again = body_of(send(application, "/usage", usage("e", metadata={"a": 1})))
    assert again["total_cost"] == Decimal("0.008")
    batch = record(application, usage("e", metadata={"a": 1}))["results"][0]
    assert batch["total_cost"] == again["total_cost"]
    assert_proven(application, again["total_cost"])


def test_a_call_that_was_taken_back_is_not_recorded_again(application: Application) -> None:
    first = body_of(send(application, "/usage", usage("e")))
    assert application.delete(f"/api/v1/costs/{first['id']}").status_code == 204
    again = send(application, "/usage", usage("e"))
    assert again.status_code == 200
    row = body_of(again)
    assert (row["id"], row["result"], row["cost_status"]) == (first["id"], "duplicate", "voided")
    assert (row["total_cost"], row["total_tokens"]) == (0, 0)
    batch = record(application, usage("e"))["results"][0]
    assert (batch["status"], batch["cost_status"], batch["total_cost"]) == (
        "duplicate", "voided", 0,
    )  # fmt: skip
    assert assert_proven(application, 0).records == 0


def test_bulk_rows_of_duplicates_are_what_is_stored(application: Application) -> None:
    cost = {"model": "gpt-4o", "cost": "0.25", "tokens_used": 10, "event_id": "c"}
    (first,) = accepted(send(application, "/costs/bulk", {"records": [cost]}), 200)["results"]
    accepted(
        application.request("PATCH", f"/api/v1/costs/{first['id']}", json={"metadata": {"x": 1}})
    )
    (again,) = accepted(send(application, "/costs/bulk", {"costs": [cost]}), 200)["results"]
    assert (again["status"], again["id"], again["metadata"]) == ("duplicate", first["id"], {"x": 1})
    assert again["created_at"] == first["created_at"]


PLANS = {
    DatabaseKind.SQLITE: ("EXPLAIN QUERY PLAN ", "uq_usage_event|autoindex_usage_records_2"),
    DatabaseKind.POSTGRESQL: ("EXPLAIN ", "uq_usage_event"),
    DatabaseKind.MYSQL: ("EXPLAIN ", "uq_usage_event"),
}


def test_replays_are_looked_up_through_the_unique_index(application: Application) -> None:
    record(application, *(usage(f"e{n}") for n in range(5_000)))
    prefix, names = PLANS[application.database.kind]
    # Few: for a hundred PostgreSQL finds reading all of the organization's calls about as cheap.
    wanted = ", ".join(f"'e{n}'" for n in range(10))
    if application.database.kind is DatabaseKind.POSTGRESQL:
        with write(application.database) as session:
            session.connection.exec_driver_sql("ANALYZE usage_records")
            session.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            plan = session.connection.exec_driver_sql(_lookup(prefix, application, wanted)).all()
    else:
        plan = select_all(application, _lookup(prefix, application, wanted))
    assert any(name in str(plan) for name in names.split("|")), plan


def _lookup(prefix: str, app: Application, wanted: str) -> str:
    return (
        f"{prefix} SELECT id, event_id, payload_digest FROM usage_records WHERE "
        f"organization_id = '{app.organization_id}' AND source = 'api' AND event_id IN ({wanted})"
    )
