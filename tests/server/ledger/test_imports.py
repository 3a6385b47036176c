"""Imports: begun, filled, listed, finished and taken back whole, while others write."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger import append, imports
from llm_cost_ops.server.ledger.entry import Entry
from tests.support.application import Application
from tests.support.calls import (
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


def begin(app: Application, **fields: str) -> str:
    shown = accepted(send(app, "/imports", {"format": "jsonl", "name": "a.jsonl", **fields}), 201)
    return str(shown["id"])


def shown(app: Application, import_id: str) -> Any:
    return accepted(app.get(f"/api/v1/imports/{import_id}"), 200)


def undo(app: Application, import_id: str) -> Any:
    return accepted(send(app, f"/imports/{import_id}/undo", {}), 200)


def costs(app: Application) -> list[Decimal]:
    rows = accepted(app.get("/api/v1/costs?limit=1000"), 200)["data"]
    return sorted(row["total_cost"] for row in rows)


def test_an_import_counts_what_became_of_its_records(application: Application) -> None:
    set_price(application)
    record(application, usage("old"))
    import_id = begin(application)
    assert {**shown(application, import_id), "created_at": "", "created_by": ""} == {
        "id": import_id, "format": "jsonl", "name": "a.jsonl", "status": "open", "created": 0,
        "duplicate": 0, "corrected": 0, "failed": 0, "created_by": "", "created_at": "",
        "undone_at": None,
    }  # fmt: skip
    batch = [
        usage("new"), usage("old"), usage("new2", prompt_tokens=-1), usage("old", user_id="x"),
    ]  # fmt: skip
    path = f"/usage/batch?import_id={import_id}"
    assert statuses(accepted(send(application, path, batch), 207)) == [
        "created", "duplicate", "invalid", "conflict",
    ]  # fmt: skip
    grown = [usage("old", prompt_tokens=2000)]
    assert statuses(accepted(send(application, f"{path}&correct=true", grown))) == ["corrected"]
    accepted(send(application, f"/imports/{import_id}/complete", {}), 200)
    found = shown(application, import_id)
    assert [found[n] for n in ("status", "created", "duplicate", "corrected", "failed")] == [
        "complete", 1, 1, 1, 2,
    ]  # fmt: skip
    assert body_of(application.get("/api/v1/costs?source=api"))["data"][0]["import_id"] in (
        import_id, None,
    )  # fmt: skip


def test_undoing_takes_back_its_calls_and_nothing_else(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "BATCH", 2)
    set_price(application)
    record(application, usage("mine", prompt_tokens=2_000_000))
    first, second = begin(application), begin(application)
    into = {i: f"/usage/batch?import_id={i}" for i in (first, second)}
    calls = [usage(f"e{n}", prompt_tokens=n * 1000) for n in range(1, 6)]
    ids = [r["id"] for r in accepted(send(application, into[first], calls), 200)["results"]]
    accepted(send(application, into[second], [usage("s")]), 200)
    # One of its calls was deleted before, one was counted again by another import.
    assert application.delete(f"/api/v1/costs/{ids[0]}").status_code == 204
    grown = [usage("e2", prompt_tokens=9_000), usage("mine", prompt_tokens=1_000_000)]
    answer = accepted(send(application, f"{into[second]}&correct=true", grown), 200)
    assert answer["corrected"] == 2
    done = undo(application, first)
    assert (done["status"], done["voided"], done["undone_at"] is not None) == ("undone", 4, True)
    # The correction that the second import made to a call of nobody's import stays.
    assert costs(application) == [Decimal("0.006"), Decimal("2.004")]
    assert_proven(application, "2.010")
    for record_id in ids:
        assert application.get(f"/api/v1/costs/{record_id}").status_code == 404
        entries = body_of(application.get(f"/api/v1/costs/{record_id}/entries"))["data"]
        assert sum(entry["cost"] for entry in entries) == 0
        assert [entry["kind"] for entry in entries].count("void") == 1
    assert count(application, "audit_log", "action = 'imports.undo'") == 1
    # The same file can be imported again.
    third = begin(application)
    again = accepted(send(application, f"/usage/batch?import_id={third}", calls), 200)
    assert again["created"] == 5
    assert not {result["id"] for result in again["results"]} & set(ids)
    assert undo(application, second)["voided"] == 1
    assert assert_proven(application).records == 6


def test_an_undone_import_is_closed(application: Application) -> None:
    import_id = begin(application)
    accepted(send(application, f"/usage/batch?import_id={import_id}", [usage("a")]), 200)
    undo(application, import_id)
    again = error(send(application, f"/imports/{import_id}/undo", {}), 409, "CONFLICT")
    assert again["field_errors"] == {"import_id": "this import was undone"}
    for path in ("/usage/batch", "/usage"):
        body: Any = [usage("b")] if path.endswith("batch") else usage("b")
        error(send(application, f"{path}?import_id={import_id}", body), 409, "CONFLICT")
    finished = accepted(send(application, f"/imports/{import_id}/complete", {}), 200)
    assert finished["status"] == "undone"
    assert count(application, "usage_corrections") == 1
    assert assert_proven(application).records == 0


def test_an_import_without_calls_can_be_undone(sqlite_application: Application) -> None:
    import_id = begin(sqlite_application)
    assert undo(sqlite_application, import_id)["voided"] == 0


def test_imports_are_listed_newest_first_in_pages(sqlite_application: Application) -> None:
    app = sqlite_application
    made = [begin(app, name=f"{n}") for n in range(5)]
    begin(app.another())
    seen: list[str] = []
    cursor, sizes = "", []
    while True:
        page = body_of(app.get(f"/api/v1/imports?limit=2{cursor}"))
        seen += [row["id"] for row in page["data"]]
        sizes.append(len(page["data"]))
        assert page["has_more"] == (page["next_cursor"] is not None)
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sizes == [2, 2, 1]
    assert sorted(seen) == sorted(made)
    assert seen == sorted(seen, reverse=True)


def test_a_foreign_or_unknown_import_is_not_found(sqlite_application: Application) -> None:
    app = sqlite_application
    foreign, unknown = begin(app.another()), "imp_" + "0" * 26
    for import_id in (foreign, unknown):
        assert app.get(f"/api/v1/imports/{import_id}").status_code == 404
        for verb in ("undo", "complete"):
            error(send(app, f"/imports/{import_id}/{verb}", {}), 404, "NOT_FOUND")
        error(send(app, f"/usage/batch?import_id={import_id}", [usage()]), 404, "NOT_FOUND")
    error(send(app, "/usage/batch?import_id=x", [usage()]), 422, "VALIDATION_ERROR")
    assert count(app, "usage_records") == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [({"x": 1}, "x"), ({"format": 1}, "format"), ({"format": ""}, "format"),
     ({"name": "a\nb"}, "name"), ({"format": "x" * 65}, "format"), ({"name": "x" * 256}, "name")],
)  # fmt: skip
def test_a_faulty_import_is_refused(
    sqlite_application: Application, body: dict[str, Any], field: str
) -> None:
    assert field in error(send(sqlite_application, "/imports", body), 422)["field_errors"]


def test_an_import_need_not_say_what_it_is(sqlite_application: Application) -> None:
    made = accepted(send(sqlite_application, "/imports", {}), 201)
    assert (made["format"], made["name"]) == ("api", None)
    assert accepted(send(sqlite_application, "/imports", {"format": "x" * 64}), 201)
    assert sqlite_application.post("/api/v1/imports", content=b"[]").status_code == 400


def test_records_are_added_or_refused_while_an_import_is_undone(application: Application) -> None:
    """Whatever the order, nothing of an undone import stands and every answer is true."""
    set_price(application)
    import_id = begin(application)
    path = f"/usage/batch?import_id={import_id}"
    accepted(send(application, path, [usage("first")]), 200)
    ready = threading.Barrier(5)

    def add(part: int) -> int:
        ready.wait()
        codes = [
            send(application, path, [usage(f"e{part}-{n}")]).status_code for n in range(6)
        ]  # fmt: skip
        assert set(codes) <= {200, 409}
        return codes.count(200)

    def take_back() -> Any:
        ready.wait()
        return undo(application, import_id)

    with ThreadPoolExecutor(5) as pool:
        adding = [pool.submit(add, part) for part in range(4)]
        undone = pool.submit(take_back).result()
        added = sum(one.result() for one in adding)
    assert undone["voided"] == 1 + added
    found = shown(application, import_id)
    assert (found["created"], found["status"]) == (1 + added, "undone")
    assert assert_proven(application, 0).records == 0
    assert costs(application) == []


@pytest.mark.parametrize("door", ["/usage/batch", "/usage"])
def test_an_event_id_that_is_given_up_meanwhile_is_recorded_anew(
    application: Application, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    """Between a refused insert and the look at what refused it the import is undone: the call must
    be stored, not only be said to be."""
    set_price(application)
    import_id = begin(application)
    accepted(send(application, f"/usage/batch?import_id={import_id}", [usage("e")]), 200)
    look, looked = append.find_existing, threading.Event()

    def meanwhile(session: ReadSession, entries: Sequence[Entry]) -> Any:
        if not looked.is_set():
            looked.set()
            with ThreadPoolExecutor(1) as pool:
                pool.submit(undo, application, import_id).result(timeout=20)
        return look(session, entries)

    if str(application.database.kind) == "postgresql":  # elsewhere the insert locks what it met
        monkeypatch.setattr(append, "find_existing", meanwhile)
    else:
        undo(application, import_id)
    body: Any = [usage("e"), usage("f")] if door.endswith("batch") else usage("e")
    accepted(send(application, door, body))
    stored = select_all(application, "SELECT event_id FROM usage_records WHERE import_id IS NULL")
    assert ("e",) in [tuple(row) for row in stored]
    assert assert_proven(application).records == len(stored)


def test_no_caller_can_take_an_event_id_of_an_undone_call(
    sqlite_application: Application,
) -> None:
    import_id = begin(sqlite_application)
    path = f"/usage/batch?import_id={import_id}"
    (made,) = accepted(send(sqlite_application, path, [usage("a")]), 200)["results"]
    taken = f"{imports.RELEASED}{made['id']}"
    answer = send(sqlite_application, "/usage", usage(taken))
    assert "event_id" in error(answer, 422)["field_errors"]
    assert undo(sqlite_application, import_id)["voided"] == 1
