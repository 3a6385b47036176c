"""Old calls are archived and leave the ledger; their sums stay, and nothing comes in twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from llm_cost_ops.server.db.session import WriteSession, read, snapshot, write, write_retrying
from llm_cost_ops.server.ledger import purge, teams
from llm_cost_ops.server.ledger.closed import closed_of
from llm_cost_ops.server.ledger.tables import rollup_models
from llm_cost_ops.server.ledger.verify import rebuild, verify
from llm_cost_ops.server.privacy.archive import ArchiveFailed
from llm_cost_ops.server.privacy.keepers import UsageKeeper
from llm_cost_ops.server.privacy.restore import ArchiveUnknown, restore
from llm_cost_ops.server.privacy.retention import Done
from llm_cost_ops.server.privacy.retention import run as keep
from llm_cost_ops.server.settings import DatabaseSettings
from tests.server.privacy.test_retention import Place, _place, lines
from tests.support.calls import (
    accepted,
    body_of,
    count,
    error,
    put,
    record,
    send,
    set_price,
    usage,
)
from tests.support.factories import sum_by_team

OLD, EDGE, NEW = "2026-08-31T23:00:00Z", "2026-09-01T00:00:00Z", "2026-10-30T00:00:00Z"
DAYS = 45
"""Before noon of 2026-11-01 that is the middle of September: August goes, September stays."""


@pytest.fixture
def place(database_settings: DatabaseSettings, tmp_path: Path) -> Iterator[Place]:
    yield from _place(database_settings, tmp_path / "archives")


@pytest.fixture
def quick(sqlite_settings: DatabaseSettings, tmp_path: Path) -> Iterator[Place]:
    yield from _place(sqlite_settings, tmp_path / "archives")


def furnish(place: Place) -> None:
    record(place.app, *(usage(f"o{n}", timestamp=OLD, user_id="alice") for n in range(3)))
    record(place.app, usage("older", timestamp="2026-07-01T10:00:00Z", tags=["a"]))
    record(place.app, usage("edge", timestamp=EDGE), usage("new", timestamp=NEW))
    listed = accepted(place.app.get("/api/v1/costs?user_id=alice"))["data"]
    assert place.app.delete(f"/api/v1/costs/{listed[0]['id']}").status_code == 204


def proof(place: Place) -> tuple[int, int, Any]:
    with snapshot(place.app.database) as session:
        found = verify(session, place.app.organization_id)
    assert found.ok, found.first_difference
    return found.records, found.archived, found.totals


def total(place: Place, **more: str) -> Any:
    query = {"start_date": "2026-01-01", "end_date": "2026-11-02", **more}
    shown = body_of(place.app.get("/api/v1/costs/summary", params=query))
    return shown["total_cost"], shown["total_requests"]


def back(place: Place, archive_id: str, folder: Path | None = None) -> Any:
    return restore(
        place.app.database,
        place.app.organization_id,
        archive_id,
        str(folder or place.folder),
        place.now_us,
        lambda work: write_retrying(place.app.database, work),
    )


def test_old_calls_go_and_their_sums_stay(place: Place) -> None:
    furnish(place)
    before, sums = proof(place), total(place)
    place.keep("usage", DAYS)
    assert place.due()["usage"] == 4
    place.run()
    after = proof(place)
    assert (before[0], before[1]) == (5, 0)
    assert (after[0], after[1]) == (2, 4), "three and one that was taken back, one older"
    assert after[2] == before[2]
    assert total(place) == sums
    assert count(place.app, "usage_records") == 2
    assert count(place.app, "usage_corrections") == 0
    with write(place.app.database) as session:
        rebuild(session, place.app.organization_id)
    assert proof(place) == after
    assert total(place) == sums
    place.run()
    assert len(place.archives()) == 2
    assert place.due()["usage"] == 0


def test_nothing_of_a_closed_day_comes_in_again(place: Place) -> None:
    furnish(place)
    place.keep("usage", DAYS, archive=False)
    place.run()
    sums = total(place)
    late = usage("o1", timestamp=OLD, user_id="alice")
    refused = error(send(place.app, "/usage", late), 422, "VALIDATION_ERROR")
    assert "timestamp" in refused["field_errors"]
    both = {"records": [late, usage("fresh", timestamp=EDGE)]}
    answer = send(place.app, "/usage/batch", both)
    assert answer.status_code == 207
    assert [each["status"] for each in answer.json()["results"]] == ["invalid", "created"]
    answer = send(place.app, "/usage/batch?atomic=true", {"records": [late, usage("n")]})
    assert answer.status_code == 422
    assert "records[0].timestamp" in answer.json()["error"]["field_errors"]
    assert total(place)[1] == sums[1] + 1
    proof(place)
    record(place.app.another(), late)


def test_calls_that_come_while_a_day_is_closed_are_not_lost(
    quick: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(quick)
    quick.keep("usage", DAYS)
    write_archive, came = purge.lines_of_day, list[int]()

    def with_a_call(*given: Any) -> Iterator[Any]:
        yield from write_archive(*given)
        if not came:
            came.append(1)
            record(quick.app, usage("late", timestamp="2026-07-01T11:00:00Z"))

    monkeypatch.setattr(purge, "lines_of_day", with_a_call)
    sums = total(quick)
    quick.run()
    assert total(quick)[1] == sums[1] + 1
    assert proof(quick)[1] == 5
    assert sorted(row["rows"] for row in quick.archives()) == [2, 4]


def test_a_stopped_removal_goes_on(quick: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(quick)
    quick.keep("usage", DAYS)
    with monkeypatch.context() as patch:
        patch.setattr(purge, "remove_page", lambda *_: 0)
        quick.run()
    assert count(quick.app, "usage_records") == 6
    assert proof(quick)[1] == 4
    quick.run()
    assert count(quick.app, "usage_records") == 2
    assert proof(quick)[:2] == (2, 4)


def test_an_archive_is_put_back_once(place: Place) -> None:
    furnish(place)
    before, sums = proof(place), total(place)
    place.keep("usage", DAYS)
    place.run()
    (archived,) = (row for row in place.archives() if row["rows"] == 4)
    with pytest.raises(ArchiveUnknown):
        restore(place.app.database, place.app.another().organization_id, archived["id"],
                str(place.folder), 1, lambda work: 0)  # fmt: skip
    assert back(place, archived["id"]).day == "2026-08-31"
    assert proof(place) == (4, 1, before[2])
    assert total(place) == sums
    assert len(accepted(place.app.get("/api/v1/costs?user_id=alice"))["data"]) == 2
    record(place.app, usage("again", timestamp=OLD))
    with pytest.raises(ArchiveUnknown):
        back(place, archived["id"])
    place.run()
    assert proof(place)[:2] == (2, 5)


def test_an_archived_call_that_was_recorded_again_keeps_its_day_closed(place: Place) -> None:
    furnish(place)
    place.keep("usage", DAYS)
    place.run()
    record(place.app, usage("o1", timestamp=NEW))
    before, sums = proof(place), total(place)
    (archived,) = (row for row in place.archives() if row["rows"] == 4)
    with pytest.raises(purge.SentAgain, match="'o1'"):
        back(place, archived["id"])
    assert (proof(place), total(place)) == (before, sums)


def test_a_day_that_is_put_back_counts_in_budgets_made_meanwhile(place: Place) -> None:
    furnish(place)
    place.keep("usage", DAYS)
    place.run()
    month = {"amount": "9", "period": "monthly", "start_date": "2026-08-01"}
    alice = {"name": "alice", **month, "scope": {"user_id": "alice"}}
    accepted(send(place.app, "/budgets", alice), 201)
    (archived,) = (row for row in place.archives() if row["rows"] == 4)
    back(place, archived["id"])
    assert proof(place)[:2] == (4, 1)


def test_a_day_that_is_put_back_before_it_is_emptied_keeps_its_calls(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(place)
    before, sums = proof(place), total(place)
    place.keep("usage", DAYS)
    empty = UsageKeeper._empty

    def late(keeper: UsageKeeper, day: int) -> None:
        with read(place.app.database) as session:
            archive_id = closed_of(session, place.app.organization_id)[day].archive_id
        back(place, str(archive_id))
        empty(keeper, day)

    monkeypatch.setattr(UsageKeeper, "_empty", late)
    place.run()
    assert count(place.app, "usage_records") == 6
    assert (proof(place), total(place)) == (before, sums)


def test_a_day_that_somebody_else_closes_is_closed_once(
    quick: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(quick)
    quick.keep("usage", DAYS)
    lines_of_day, came = purge.lines_of_day, list[int]()

    def run() -> list[Done]:
        database = quick.app.database

        def write_it(work: Callable[[WriteSession], int]) -> int:
            return write_retrying(database, work)

        return list(
            keep(database, quick.app.organization_id, quick.settings, quick.now_us, write_it)
        )

    def with_another(*given: Any) -> Iterator[Any]:
        yield from lines_of_day(*given)
        if not came:
            came.append(1)
            assert [done.removed for done in run()] == [4]

    monkeypatch.setattr(purge, "lines_of_day", with_another)
    assert [(done.removed, done.failed) for done in run()] == [(0, None)]
    assert proof(quick)[:2] == (2, 4)
    assert len(quick.archives()) == 2


def test_labels_that_change_while_a_day_is_closed_are_in_its_archive(
    quick: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(quick)
    call = accepted(quick.app.get("/api/v1/costs?tags=a"))["data"][0]["id"]
    quick.keep("usage", DAYS)
    lines_of_day, came = purge.lines_of_day, list[int]()

    def with_a_label(*given: Any) -> Iterator[Any]:
        yield from lines_of_day(*given)
        if not came:
            came.append(1)
            accepted(put(quick.app, f"/costs/{call}", {"tags": ["b"]}))

    monkeypatch.setattr(purge, "lines_of_day", with_a_label)
    quick.run()
    (archived,) = (row for row in quick.archives() if row["rows"] == 1)
    (line,) = lines(quick.folder / archived["file"])
    assert line["row"]["tags"] == '["b"]'


def test_a_closed_day_that_is_not_empty_yet_takes_no_labels_and_stops_no_price(
    quick: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(quick.app, usage("old", timestamp=OLD), usage("new", timestamp=NEW))
    quick.keep("usage", DAYS)
    monkeypatch.setattr(purge, "remove_page", lambda *_: 0)
    quick.run()
    assert proof(quick)[:2] == (1, 1)
    rows = accepted(quick.app.get("/api/v1/costs?start_date=2026-08-01&end_date=2026-11-02"))
    (old,) = (row for row in rows["data"] if row["timestamp"].startswith("2026-08"))
    error(put(quick.app, f"/costs/{old['id']}", {"tags": ["b"]}), 409, "CONFLICT")
    moved = usage("old", timestamp=NEW, completion_tokens=7)
    grown = usage("new", timestamp=NEW, completion_tokens=7)
    answer = send(quick.app, "/usage/batch?correct=true", {"records": [moved, moved, grown]})
    statuses = [each["status"] for each in body_of(answer)["results"]]
    assert statuses == ["invalid", "invalid", "corrected"]
    told = body_of(
        send(quick.app, "/pricing/rerate", {"start_date": "2026-08-31", "end_date": "2026-11-02"})
    )
    assert (told["examined"], told["archived"]) == (1, 1)
    told = body_of(
        send(quick.app, "/pricing/rerate", {"start_date": "2026-09-01", "end_date": "2026-11-02"})
    )
    assert (told["examined"], told["archived"]) == (1, 0)
    set_price(quick.app)
    assert proof(quick)[:2] == (1, 1)


def test_an_import_whose_calls_are_archived_is_not_undone_by_half(quick: Place) -> None:
    made = accepted(send(quick.app, "/imports", {"format": "jsonl"}), 201)["id"]
    calls = [usage("old", timestamp=OLD), usage("new", timestamp=NEW)]
    accepted(send(quick.app, f"/usage/batch?import_id={made}", calls), 200)
    sums = total(quick)
    quick.keep("usage", DAYS)
    quick.run()
    assert proof(quick)[:2] == (1, 1)
    error(send(quick.app, f"/imports/{made}/undo", {}), 409, "CONFLICT")
    assert accepted(quick.app.get(f"/api/v1/imports/{made}"))["status"] == "open"
    assert total(quick) == sums


def test_who_was_erased_does_not_come_back_with_an_archive(quick: Place) -> None:
    furnish(quick)
    quick.keep("usage", DAYS)
    quick.run()
    request = {"kind": "erase", "subject": "alice"}
    accepted(send(quick.app, "/privacy/requests", request), 201)
    quick.run()
    (archived,) = (row for row in quick.archives() if row["rows"] == 4)
    back(quick, archived["id"])
    assert count(quick.app, "usage_records") == 5
    assert count(quick.app, "usage_records", "user_id = 'alice'") == 0
    assert count(quick.app, "usage_corrections", "user_id = 'alice'") == 0
    assert proof(quick)[:2] == (4, 1)


def test_a_damaged_archive_is_not_put_back(quick: Place) -> None:
    furnish(quick)
    quick.keep("usage", DAYS)
    quick.run()
    archived = quick.archives()[0]
    path = quick.folder / archived["file"]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArchiveFailed):
        back(quick, archived["id"])
    assert proof(quick)[:2] == (2, 4)


def test_closed_days_have_no_sums_by_team(place: Place) -> None:
    furnish(place)
    own = place.app.organization_id
    days = [*sum_by_team(place.app.database, own)]
    assert len(days) == count(place.app, "team_days") == 4
    place.keep("usage", DAYS)
    place.run()
    assert count(place.app, "team_days") == 2
    assert count(place.app, "rollup_teams") == 2
    with snapshot(place.app.database) as session:
        assert [*teams.known_days(session, own)] == days[2:]
    for archive in place.archives():
        back(place, archive["id"])
    proof(place)
    assert [*sum_by_team(place.app.database, own)] == days[:2]
    proof(place)


def test_a_day_that_is_closed_while_days_are_summed_gets_no_sums(place: Place) -> None:
    """They would be of the calls that are left, and be taken for those of the day put back."""
    furnish(place)
    own = place.app.organization_id
    made = sum_by_team(place.app.database, own)
    next(made)
    place.keep("usage", DAYS)
    place.run()
    assert len([*made]) == 2
    for archive in place.archives():
        back(place, archive["id"])
    with snapshot(place.app.database) as session:
        assert len(teams.known_days(session, own)) == 2
    proof(place)


def test_a_sum_that_somebody_changed_is_found(quick: Place) -> None:
    furnish(quick)
    quick.keep("usage", DAYS)
    quick.run()
    with write(quick.app.database) as session:
        session.execute(update(rollup_models).values(requests=rollup_models.c.requests + 1))
    with snapshot(quick.app.database) as session:
        found = verify(session, quick.app.organization_id)
    assert found.first_difference is not None
    assert found.first_difference.rollup == "closed_days"


def test_sums_that_are_wrong_keep_their_calls(quick: Place) -> None:
    furnish(quick)
    with write(quick.app.database) as session:
        session.execute(update(rollup_models).values(requests=rollup_models.c.requests + 1))
    quick.keep("usage", DAYS)
    quick.run()
    assert count(quick.app, "usage_records") == 6
    assert quick.archives() == []


def test_calls_of_a_budget_under_way_stay(quick: Place) -> None:
    furnish(quick)
    budget = {"name": "b", "amount": "9", "period": "annual", "start_date": "2026-08-01"}
    accepted(send(quick.app, "/budgets", {**budget, "scope": {"user_id": "alice"}}), 201)
    quick.keep("usage", DAYS)
    quick.run()
    assert proof(quick)[:2] == (4, 1), "July went, August counts in the budget"


def test_the_organization_says_how_long_calls_are_kept(quick: Place) -> None:
    furnish(quick)
    path = f"/api/v1/organizations/{quick.app.organization_id}"
    accepted(quick.app.request("PATCH", path, json={"data_retention_days": DAYS}))
    rows = accepted(quick.app.get("/api/v1/retention"))["data"]
    (found,) = (row for row in rows if row["kept"] == "usage")
    assert (found["days"], found["inherited"], found["due"]) == (DAYS, True, 4)
    quick.keep("usage", 36_500)
    quick.run()
    assert count(quick.app, "usage_records") == 6
    quick.keep("usage", None)
    quick.run()
    assert count(quick.app, "usage_records") == 2


def test_a_budget_over_closed_days_has_its_whole_sum_or_is_refused(place: Place) -> None:
    furnish(place)
    place.keep("usage", DAYS)
    place.run()
    year = {"amount": "9", "period": "annual", "start_date": "2026-08-01"}
    alice = {"name": "alice", **year, "scope": {"user_id": "alice"}}
    refused = error(send(place.app, "/budgets", alice), 409, "CONFLICT")
    assert "no longer keeps" in refused["message"]
    gpt = {"name": "gpt", **year, "scope": {"model": "gpt-4o"}}
    made = accepted(send(place.app, "/budgets", gpt), 201)
    shown = body_of(place.app.get(f"/api/v1/budgets/{made['id']}"))
    assert shown["spent"] == Decimal("0.03"), "two of August that stand, two since"
    path = f"/api/v1/budgets/{made['id']}"
    changed = place.app.request("PATCH", path, json={"scope": {"user_id": "alice"}})
    error(changed, 409, "CONFLICT")
    assert place.app.request("PATCH", path, json={"amount": "8"}).status_code == 200
    recent = {**alice, "start_date": "2026-09-01"}
    accepted(send(place.app, "/budgets", recent), 201)
    proof(place)
