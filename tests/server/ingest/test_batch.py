"""`POST /api/v1/usage/batch`: every shape, one result per item in order, all or nothing."""

from __future__ import annotations

import gzip
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.core.jsontext import dumps
from tests.support.application import Application
from tests.support.calls import (
    JSON,
    accepted,
    assert_proven,
    body_of,
    count,
    error,
    record,
    select_all,
    send,
    set_price,
    statuses,
    usage,
)

NDJSON = {"Content-Type": "application/x-ndjson"}


def lines(records: list[dict[str, Any]]) -> str:
    return "".join(dumps(item) + "\n" for item in records)


def test_an_object_an_array_and_lines_are_the_same_batch(application: Application) -> None:
    records = [usage(f"e{n}", prompt_tokens=n + 1) for n in range(5)]
    answers = [
        send(application, "/usage/batch", {"records": records}),
        send(application, "/usage/batch", records),
        application.post("/api/v1/usage/batch", content=lines(records), headers=NDJSON),
        application.post("/api/v1/usage/batch", content=lines(records), headers=JSON),
        application.post(
            "/api/v1/usage/batch",
            content=gzip.compress(dumps(records).encode()),
            headers={**JSON, "Content-Encoding": "gzip"},
        ),
    ]
    first, *others = (accepted(answer, 200) for answer in answers)
    assert statuses(first) == ["created"] * 5
    ids = [result["id"] for result in first["results"]]
    for other in others:
        assert statuses(other) == ["duplicate"] * 5
        assert [result["id"] for result in other["results"]] == ids
    assert_proven(application)


def test_results_are_in_order_and_the_counts_add_up(application: Application) -> None:
    set_price(application)
    record(application, usage("old"))
    answer = accepted(
        send(
            application,
            "/usage/batch",
            [
                usage("new"),
                usage("old"),
                usage("bad", prompt_tokens=-1),
                usage("old", prompt_tokens=5),
                usage("free", model="unknown"),
            ],
        ),
        207,
    )
    assert statuses(answer) == ["created", "duplicate", "invalid", "conflict", "created"]
    assert [result["index"] for result in answer["results"]] == list(range(5))
    counts = {name: answer[name] for name in ("submitted", "created", "duplicates", "failed")}
    assert counts == {"submitted": 5, "created": 2, "duplicates": 1, "failed": 2}
    created, duplicate, invalid, conflict, unpriced = answer["results"]
    assert (created["event_id"], created["total_cost"]) == ("new", Decimal("0.006"))
    assert duplicate["total_cost"] == Decimal("0.006")
    assert invalid["error"]["field_errors"] == {"prompt_tokens": "must be greater than 0"}
    assert conflict["error"]["code"] == "CONFLICT"
    assert conflict["id"] == duplicate["id"]
    assert (unpriced["cost_status"], unpriced["total_cost"]) == ("unpriced", None)
    assert assert_proven(application, "0.012").records == 3


def thousand_with_37_bad() -> list[dict[str, Any]]:
    records = [usage(f"e{n}") for n in range(1000)]
    for n in range(37):
        records[n * 27]["prompt_tokens"] = -n
        records[n * 27]["completion_tokens"] = 0
    return records


def test_37_bad_of_a_thousand_leave_963(application: Application) -> None:
    answer = accepted(send(application, "/usage/batch", thousand_with_37_bad()), 207)
    assert (answer["created"], answer["failed"]) == (963, 37)
    bad = [r["index"] for r in answer["results"] if r["status"] == "invalid"]
    assert bad == [n * 27 for n in range(37)]
    assert count(application, "usage_records") == 963
    assert assert_proven(application).records == 963


def test_an_atomic_batch_is_stored_whole_or_not_at_all(application: Application) -> None:
    refused = error(
        send(application, "/usage/batch?atomic=true", thousand_with_37_bad()),
        422,
        "VALIDATION_ERROR",
    )
    assert refused["message"] == "37 of 1000 records were refused; nothing was stored"
    assert [item["index"] for item in refused["errors"]] == [n * 27 for n in range(37)]
    assert refused["field_errors"]["records[27].prompt_tokens"] == "must be greater than 0"
    for table in ("usage_records", "rollup_hourly", "outbox"):
        assert count(application, table) == 0
    fine = [usage(f"e{n}") for n in range(3)]
    assert accepted(send(application, "/usage/batch?atomic=true", fine), 200)["created"] == 3


def test_an_atomic_refusal_lists_the_first_hundred(sqlite_application: Application) -> None:
    bad = [usage(f"e{n}", prompt_tokens=-1) for n in range(101)]
    refused = error(send(sqlite_application, "/usage/batch?atomic=true", bad), 422)
    assert [item["index"] for item in refused["errors"]] == list(range(100))


def test_a_conflict_refuses_an_atomic_batch_and_is_audited(application: Application) -> None:
    record(application, usage("old"))
    batch = [usage("new"), usage("old", prompt_tokens=5), usage("newer")]
    refused = error(send(application, "/usage/batch?atomic=true", batch), 422)
    assert [(e["index"], e["code"]) for e in refused["errors"]] == [(1, "CONFLICT")]
    assert count(application, "usage_records") == 1
    assert count(application, "audit_log", "action = 'usage.conflict'") == 1
    assert_proven(application)


def test_an_event_id_twice_in_one_batch_is_one_call(application: Application) -> None:
    answer = accepted(
        send(
            application,
            "/usage/batch",
            [usage("a"), usage("a"), usage("a", prompt_tokens=1), usage("a", source="x")],
        ),
        207,
    )
    assert statuses(answer) == ["created", "duplicate", "conflict", "created"]
    assert len({result["id"] for result in answer["results"]}) == 2
    assert count(application, "usage_records") == 2
    assert count(application, "audit_log", "action = 'usage.conflict'") == 1
    assert_proven(application)


def test_a_repeat_is_judged_by_what_is_stored(application: Application) -> None:
    record(application, usage("a"))
    answer = accepted(
        send(application, "/usage/batch", [usage("a", prompt_tokens=1), usage("a"), usage("a")]),
        207,
    )
    assert statuses(answer) == ["conflict", "duplicate", "duplicate"]
    assert_proven(application)


def test_many_conflicts_are_audited_in_bounds(application: Application) -> None:
    record(application, *(usage(f"e{n}") for n in range(150)))
    changed = [usage(f"e{n}", prompt_tokens=1) for n in range(150)]
    assert accepted(send(application, "/usage/batch", changed), 207)["failed"] == 150
    entries = select_all(
        application, "SELECT after FROM audit_log WHERE action = 'usage.conflict' ORDER BY id"
    )
    assert len(entries) == 101
    assert any("150" in str(entry[0]) for entry in entries)


def test_each_commit_announces_what_it_created(application: Application) -> None:
    first = record(application, usage("a"), usage("b"))
    record(application, usage("a"), usage("b"))
    answer = record(application, usage("b"), usage("c"))
    events = select_all(
        application,
        "SELECT payload FROM outbox WHERE topic = 'usage.recorded' ORDER BY id",
    )
    assert len(events) == 2
    found = {(e["first_id"], e["last_id"], e["count"]) for e in (_json(row[0]) for row in events)}
    assert found == {
        (first["results"][0]["id"], first["results"][1]["id"], 2),
        (answer["results"][1]["id"],) * 2 + (1,),
    }


def _json(value: object) -> dict[str, Any]:
    from llm_cost_ops.core.jsontext import loads

    return loads(value) if isinstance(value, str) else value  # type: ignore[return-value]


@pytest.mark.parametrize("number", [10_000, 10_001])
def test_ten_thousand_records_are_the_limit(sqlite_application: Application, number: int) -> None:
    least = {"provider": "openai", "model": "m", "prompt_tokens": 1, "completion_tokens": 0}
    answer = send(sqlite_application, "/usage/batch", [least] * number)
    if number == 10_000:
        assert accepted(answer, 200)["created"] == 10_000
        assert_proven(sqlite_application)
    else:
        refused = error(answer, 413, "PAYLOAD_TOO_LARGE")
        assert refused["message"] == "a batch has at most 10000 records, this one has 10001"


@pytest.mark.parametrize("body", ["[]", '{"records":[]}', "{}", "null", "5", '"x"', '{"foo":[]}'])
def test_a_batch_without_records_is_refused(sqlite_application: Application, body: str) -> None:
    answer = sqlite_application.post("/api/v1/usage/batch", content=body, headers=JSON)
    error(answer, 400, "INVALID_REQUEST")


@pytest.mark.parametrize("headers", [JSON, NDJSON])
def test_an_empty_body_is_refused(sqlite_application: Application, headers: dict[str, str]) -> None:
    for body in (b"", b" \n\n "):
        answer = sqlite_application.post("/api/v1/usage/batch", content=body, headers=headers)
        error(answer, 400, "INVALID_REQUEST")


def test_items_that_are_no_objects_are_bad_items(sqlite_application: Application) -> None:
    answer = accepted(send(sqlite_application, "/usage/batch", [None, 5, usage("a"), []]), 207)
    assert statuses(answer) == ["invalid", "invalid", "created", "invalid"]
    assert answer["results"][0]["error"]["code"] == "USAGE_001"


def test_a_wholly_bad_batch_stores_nothing(sqlite_application: Application) -> None:
    answer = accepted(send(sqlite_application, "/usage/batch", [{}, {}]), 207)
    assert (answer["created"], answer["failed"]) == (0, 2)


@pytest.mark.parametrize("value", ["maybe", "", "TRUE"])
def test_flags_are_true_or_false(sqlite_application: Application, value: str) -> None:
    answer = send(sqlite_application, f"/usage/batch?atomic={value}", [usage()])
    assert list(error(answer, 422)["field_errors"]) == ["atomic"]
    assert send(sqlite_application, "/usage/batch?atomic=0", [usage()]).status_code == 200


def test_another_media_type_is_refused(sqlite_application: Application) -> None:
    answer = sqlite_application.post(
        "/api/v1/usage/batch", content="[]", headers={"Content-Type": "text/plain"}
    )
    error(answer, 415)


def test_two_organizations_never_collide(application: Application) -> None:
    other = application.another()
    mine = record(application, usage("same"))["results"][0]
    theirs = record(other, usage("same", prompt_tokens=7))["results"][0]
    assert mine["status"] == theirs["status"] == "created"
    assert mine["id"] != theirs["id"]
    for app, foreign in ((application, theirs), (other, mine)):
        assert app.get(f"/api/v1/costs/{foreign['id']}").status_code == 404
        assert app.delete(f"/api/v1/costs/{foreign['id']}").status_code == 404
        rows = body_of(app.get("/api/v1/costs"))["data"]
        assert foreign["id"] not in {row["id"] for row in rows}
        assert assert_proven(app).records == 1


def test_letters_in_another_case_are_another_event(application: Application) -> None:
    names = ["a", "A", "á", "ａ", "ß", "ss", "ı", "i", "I", "e\u0301", "\u00e9", "\U0001f600"]
    answer = record(application, *(usage(name) for name in names))
    assert statuses(answer) == ["created"] * len(names)
    again = record(application, *(usage(name) for name in names))
    assert [r["id"] for r in again["results"]] == [r["id"] for r in answer["results"]]
    assert_proven(application)
