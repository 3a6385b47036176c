"""Labels of calls are changed in place and audited; calls are removed by reversing entries."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.core.jsontext import dumps, loads
from tests.support.application import Application
from tests.support.calls import (
    JSON,
    accepted,
    assert_proven,
    body_of,
    cost_row,
    count,
    error,
    put,
    record,
    select_all,
    send,
    set_price,
    usage,
)

JUNE = {"start_date": "2025-06-01", "end_date": "2025-06-30", "dry_run": False}


def patch(app: Application, record_id: str, body: object, **options: Any) -> Any:
    return app.request(
        "PATCH", f"/api/v1/costs/{record_id}", content=dumps(body), headers=JSON, **options
    )


def one(app: Application, **fields: Any) -> str:
    return str(record(app, usage("e", **fields))["results"][0]["id"])


def audited(app: Application, action: str) -> list[tuple[Any, Any]]:
    rows = select_all(
        app,
        "SELECT before, after FROM audit_log WHERE organization_id = :org AND action = :action "
        "ORDER BY id" if app.database.kind != "mysql" else
        "SELECT `before`, `after` FROM audit_log WHERE organization_id = :org AND "
        "action = :action ORDER BY id",
        org=app.organization_id, action=action,
    )  # fmt: skip
    return [tuple(loads(v) if isinstance(v, str) else v for v in row) for row in rows]


def test_labels_are_replaced_and_audited(application: Application) -> None:
    set_price(application)
    call = one(application, metadata={"a": 1}, tags=["x"])
    row = accepted(patch(application, call, {"metadata": {"b": [Decimal("1.10")], "a": 2}}), 200)
    assert (row["metadata"], row["tags"]) == ({"a": 2, "b": [Decimal("1.10")]}, ["x"])
    accepted(put(application, f"/costs/{call}", {"tags": ["y", "z"]}), 200)
    row = accepted(patch(application, call, {"metadata": None, "tags": []}), 200)
    assert (row["metadata"], row["tags"]) == ({}, [])
    assert cost_row(application, call)["metadata"] == {}
    assert audited(application, "costs.update") == [
        ({"metadata": {"a": 1}}, {"metadata": {"b": [Decimal("1.10")], "a": 2}}),
        ({"tags": ["x"]}, {"tags": ["y", "z"]}),
        ({"metadata": {"a": 2, "b": [Decimal("1.10")]}, "tags": ["y", "z"]},
         {"metadata": None, "tags": []}),
    ]  # fmt: skip
    assert count(application, "usage_corrections") == 0
    assert_proven(application, "0.006")


def test_nothing_to_change_changes_nothing(sqlite_application: Application) -> None:
    call = one(sqlite_application, tags=["x"])
    assert accepted(patch(sqlite_application, call, {}), 200)["tags"] == ["x"]
    assert audited(sqlite_application, "costs.update") == []


def test_labels_of_a_corrected_call_group_its_corrections_alike(application: Application) -> None:
    price = set_price(application)
    call = one(application, metadata={"job": "old"}, tags=["old"])
    accepted(put(application, f"/pricing/{price['id']}", {"input_price_per_million": 4}), 200)
    accepted(send(application, "/pricing/rerate", JUNE))
    accepted(patch(application, call, {"metadata": {"job": "new"}, "tags": ["new"]}), 200)
    for key in ("metadata.job", "tag"):
        path = f"/api/v1/costs/aggregate?group_by={key}&start_date=2025-06-01&end_date=2025-06-30"
        groups = body_of(application.get(path))["data"]
        assert [(group[key], group["sum"], group["count"]) for group in groups] == [
            ("new", Decimal("0.008"), 1)
        ]
    stored = select_all(application, "SELECT tags FROM usage_corrections")
    assert "new" in str(stored)
    assert "old" not in str(stored)
    assert_proven(application, "0.008")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cost": 1}, "cost"), ({"id": "x"}, "id"), ({"metadata": [1]}, "metadata"),
        ({"metadata": {"a": "x" * 16_384}}, "metadata"), ({"tags": "x"}, "tags"),
        ({"tags": [1]}, "tags"), ({"tags": [""]}, "tags"), ({"tags": ["x" * 256]}, "tags"),
        ({"tags": [" x"]}, "tags"), ({"tags": ["a"] * 65}, "tags"),
    ],
)  # fmt: skip
def test_faulty_labels_are_refused(
    sqlite_application: Application, body: dict[str, Any], field: str
) -> None:
    call = one(sqlite_application, tags=["x"])
    assert field in error(patch(sqlite_application, call, body), 422)["field_errors"]
    assert cost_row(sqlite_application, call)["tags"] == ["x"]


def test_labels_may_be_as_large_as_their_bounds(sqlite_application: Application) -> None:
    call = one(sqlite_application)
    tags = [f"{n:0255}" for n in range(64)]
    metadata = {"a": "x" * (16_384 - len('{"a":""}'))}
    row = accepted(patch(sqlite_application, call, {"tags": tags, "metadata": metadata}), 200)
    assert (row["tags"], row["metadata"]) == (tags, metadata)


def test_a_call_is_removed_once(application: Application) -> None:
    set_price(application)
    call = one(application, project_id="p", user_id="u")
    keep = record(application, usage("keep"))["results"][0]["id"]
    answer = application.delete(f"/api/v1/costs/{call}")
    assert (answer.status_code, answer.content) == (204, b"")
    for again in (
        application.delete(f"/api/v1/costs/{call}"),
        application.get(f"/api/v1/costs/{call}"),
        application.get(f"/api/v1/usage/{call}"),
        patch(application, call, {"tags": ["x"]}),
    ):
        assert error(again, 404, "NOT_FOUND")["message"] == "Cost entry not found"
    assert count(application, "usage_corrections", "kind = 'void'") == 1
    assert [row["id"] for row in body_of(application.get("/api/v1/costs"))["data"]] == [keep]
    assert [after for _, after in audited(application, "costs.delete")] == [None]
    ((before, _),) = audited(application, "costs.delete")
    assert (before["model"], before["total_cost"]) == ("gpt-4o", Decimal("0.006"))
    summary = body_of(application.get("/api/v1/costs/summary?start_date=2025-06-15"))
    assert (summary["total_cost"], summary["total_requests"]) == (Decimal("0.006"), 1)
    assert assert_proven(application, "0.006").records == 1


def test_of_many_who_remove_a_call_one_does(application: Application) -> None:
    call = one(application)
    with ThreadPoolExecutor(6) as pool:
        codes = list(
            pool.map(lambda _: application.delete(f"/api/v1/costs/{call}").status_code, range(6))
        )
    assert sorted(codes) == [204] + [404] * 5
    assert count(application, "usage_corrections") == 1
    assert assert_proven(application, 0).records == 0


def test_unpriced_and_partly_priced_calls_are_removed_whole(application: Application) -> None:
    made = record(
        application,
        usage("a", model="nothing-like-it"),
        usage("b", prompt_tokens=None, completion_tokens=None,
              usage={"input_tokens": 10, "output_tokens": 1, "audio_seconds": 3}),
    )["results"]  # fmt: skip
    assert [result["cost_status"] for result in made] == ["unpriced", "partially_priced"]
    waiting = body_of(application.get("/api/v1/pricing/unpriced"))["data"]
    assert [(row["unpriced_count"], row["partially_priced_count"]) for row in waiting] == [
        (1, 0), (0, 1),
    ]  # fmt: skip
    assert_proven(application)
    for result in made:
        assert application.delete(f"/api/v1/costs/{result['id']}").status_code == 204
    assert body_of(application.get("/api/v1/pricing/unpriced"))["data"] == []
    assert assert_proven(application, 0).records == 0


def test_a_foreign_call_is_not_there(sqlite_application: Application) -> None:
    app = sqlite_application
    foreign = one(app.another())
    error(patch(app, foreign, {"tags": ["x"]}), 404, "NOT_FOUND")
    error(app.delete(f"/api/v1/costs/{foreign}"), 404, "NOT_FOUND")
    error(patch(app, foreign, {"x": 1}), 422)


def test_removing_needs_the_right_to_write(sqlite_application: Application) -> None:
    call = one(sqlite_application)
    reader = sqlite_application.new_key("read:costs")
    assert sqlite_application.delete(f"/api/v1/costs/{call}", key=reader).status_code == 403
    assert patch(sqlite_application, call, {"tags": []}, key=reader).status_code == 403


def test_smallest_and_largest_costs_follow_what_is_removed(application: Application) -> None:
    set_price(application)
    sizes = (1_000_000, 2_000_000, 3_000_000)
    made = record(
        application,
        *(usage(f"e{n}", prompt_tokens=n, completion_tokens=0) for n in sizes),
    )["results"]
    path = "/api/v1/costs/aggregate?group_by=model&start_date=2025-06-01&end_date=2025-06-30"

    def extremes() -> tuple[Decimal, Decimal]:
        (group,) = body_of(application.get(path))["data"]
        return group["min"], group["max"]

    assert extremes() == (2, 6)
    assert application.delete(f"/api/v1/costs/{made[2]['id']}").status_code == 204
    assert extremes() == (2, 4)
    assert application.delete(f"/api/v1/costs/{made[0]['id']}").status_code == 204
    assert extremes() == (4, 4)
    assert_proven(application, 4)
