"""Ordered exports: made once by a worker, fetched in pieces, gone when their time is over."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.server.analytics import stream
from llm_cost_ops.server.exports import asked, jobs
from llm_cost_ops.server.exports import order_routes as routes
from llm_cost_ops.server.settings import DatabaseSettings, ExportSettings, StorageSettings
from llm_cost_ops.server.storage.folder import Folder
from tests.server.exports.ordering import LEASE_S, ORDERS, Desk, desk
from tests.support.objectstores import ACCESS_KEY, REGION, SECRET_KEY, object_server
from tests.support.roles import key_of, make_role
from tests.support.troubles import TROUBLES, fails_once

UNKNOWN = "exp_00000000000000000000000000"


@pytest.fixture
def every(database_settings: DatabaseSettings, tmp_path: Path) -> Iterator[Desk]:
    with desk(database_settings, tmp_path / "files") as made:
        yield made


@pytest.fixture
def one(sqlite_settings: DatabaseSettings, tmp_path: Path) -> Iterator[Desk]:
    with desk(sqlite_settings, tmp_path / "files") as made:
        yield made


def test_an_export_from_its_order_to_its_end(every: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "NARROW_ROWS", 4)
    monkeypatch.setattr(stream, "BATCH_ROWS", 4)
    monkeypatch.setattr(jobs, "PROGRESS_SECONDS", 0.0)
    every.calls(10)
    made = every.order(format="csv", start_date="2026-10-01", include_fields=["id", "cost"])
    assert (made["status"], made["type"], made["format"]) == ("pending", "costs", "csv")
    assert made["download_url"] is None
    assert every.file(made["id"]).status_code == 409
    every.work()
    done = every.shown(made["id"])
    assert done["status"] == "completed"
    assert done["progress"] == {"rows": 10, "rows_expected": 10, "bytes": done["size_bytes"],
                                "fraction": 1}  # fmt: skip
    file = every.app.get(done["download_url"])
    assert file.status_code == 200
    assert hashlib.sha256(file.content).hexdigest() == done["sha256"]
    assert len(file.content) == done["size_bytes"] == int(file.headers["content-length"])
    direct = every.app.get("/api/v1/costs/export", params={"include_fields": "id,cost"})
    assert file.content == direct.content
    assert done["file_name"] in file.headers["content-disposition"]
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    assert [topic for topic, _ in every.events()] == ["export.completed"]
    assert every.events()[0][1]["sha256"] == done["sha256"]
    every.work()  # once is enough
    assert len(every.events()) == 1
    listed = every.app.get(f"{ORDERS}s").json()
    assert [each["id"] for each in listed["data"]] == [made["id"]]

    assert done["expires_at"] == "2026-12-05T12:00:00Z"
    every.later(7 * 86_400 - 1)
    assert every.file(made["id"]).status_code == 200
    every.later(1)
    gone = every.file(made["id"])
    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "EXPORT_EXPIRED")
    assert every.shown(made["id"])["status"] == "expired"
    assert len(every.files()) == 1
    every.work()
    assert every.files() == []
    assert every.shown(made["id"])["status"] == "expired"
    assert every.file(made["id"]).status_code == 410


def test_what_is_over_is_listed_until_the_settings_say(every: Desk) -> None:
    every.calls(1)
    old = [every.order()["id"] for _ in range(3)]
    every.work()
    assert every.app.request("DELETE", f"{ORDERS}/{old[0]}").status_code in (200, 204)
    every.later(400 * 86_400)
    young = every.order()["id"]
    every.work()  # the files of the old ones go, and the next sweep removes their rows
    every.later(601)
    every.work()
    assert every.files() != []
    listed = [each["id"] for each in every.app.get(f"{ORDERS}s").json()["data"]]
    assert listed == [young]
    assert every.app.get(f"{ORDERS}/{old[1]}").status_code == 404
    assert every.file(young).status_code == 200


@pytest.mark.parametrize("form", ["json", "jsonl", "xlsx", "parquet", "arrow", "focus"])
def test_every_format(one: Desk, form: str) -> None:
    one.calls(3)
    made = one.order(format=form, compression="gzip")
    one.work()
    done = one.shown(made["id"])
    assert (done["status"], done["format"], done["media_type"]) == (
        "completed", form, "application/gzip",
    )  # fmt: skip
    assert one.file(made["id"]).content[:2] == b"\x1f\x8b"
    name = "BilledCost" if form == "focus" else "total_cost"
    assert [str(each[name]) for each in done["totals"]] == ["4.5"]


def test_a_broken_download_goes_on_where_it_was(one: Desk) -> None:
    one.calls(5)
    made = one.order()
    one.work()
    whole = one.file(made["id"])
    size, etag = len(whole.content), whole.headers["etag"]
    assert whole.headers["accept-ranges"] == "bytes"
    rest = one.file(made["id"], headers={"Range": "bytes=10-", "If-Range": etag})
    assert (rest.status_code, rest.content) == (206, whole.content[10:])
    assert rest.headers["content-range"] == f"bytes 10-{size - 1}/{size}"
    assert rest.headers["content-length"] == str(size - 10)
    other = one.file(made["id"], headers={"Range": "bytes=10-", "If-Range": '"other"'})
    assert (other.status_code, other.content) == (200, whole.content)
    wrong = one.file(made["id"], headers={"Range": f"bytes={size}-"})
    assert (wrong.status_code, wrong.headers["content-range"]) == (416, f"bytes */{size}")
    path = f"{ORDERS}/{made['id']}/download"
    head = one.app.request("HEAD", path, headers={"Range": "bytes=10-"})
    assert (head.status_code, head.headers["content-length"]) == (200, str(size))
    assert one.audited() == ["export.created", *["export.downloaded"] * 4]


def test_what_is_wrong_is_told_at_once(one: Desk) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"format": "doc"}, "format"),
        ({"include_fields": ["nope"]}, "include_fields"),
        ({"misspelt": 1}, "misspelt"),
        ({"filters": {"metadata": "x" * 100_000}}, ""),
    ]
    for body, field in wrong:
        error = one.order(422, **body)["error"]
        assert not field or field in error["field_errors"]
    assert one.order(403, organization_id="org-other")["error"]["code"] == "ORGANIZATION_MISMATCH"
    assert one.app.get(ORDERS).json()["data"] == []
    assert one.audited() == []


def test_the_period_is_that_of_the_order(one: Desk) -> None:
    one.calls(28)
    made = one.order(period="last-month")
    one.later(40 * 86_400)
    one.work()
    assert one.shown(made["id"])["progress"]["rows"] == 28


def test_one_key_makes_one_export(one: Desk) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first, again = (one.app.post(ORDERS, json={}, headers=headers) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    assert len(one.app.get(ORDERS).json()["data"]) == 1


def test_no_more_than_so_many_at_a_time(one: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    few = ExportSettings(max_unfinished=2)
    object.__setattr__(one.settings, "export", few)
    first = one.order()
    one.order()
    refused = one.app.post(ORDERS, json={})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
    one.app.delete(f"{ORDERS}/{first['id']}")
    one.order()


def test_an_order_that_is_cancelled_is_not_made(one: Desk) -> None:
    made = one.order()
    assert one.app.delete(f"{ORDERS}/{made['id']}").status_code == 204
    assert one.app.delete(f"{ORDERS}s/{made['id']}").status_code == 204
    one.work()
    assert (one.shown(made["id"])["status"], one.files()) == ("cancelled", [])
    answer = one.file(made["id"])
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        409, "The export was cancelled.",
    )  # fmt: skip
    assert one.audited() == ["export.created", "export.deleted"]


def test_a_file_that_is_deleted_is_gone(one: Desk) -> None:
    made = one.order()
    one.work()
    assert len(one.files()) == 1
    one.app.delete(f"{ORDERS}/{made['id']}")
    assert (one.files(), one.file(made["id"]).status_code) == ([], 410)
    one.later(600)
    one.work()
    assert one.shown(made["id"])["status"] == "expired"


class Interrupted(Folder):
    """A folder that does something else after the first piece of the first file."""

    act: Any = None

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        def pieces() -> Iterator[bytes]:
            for chunk in chunks:
                yield chunk
                act, Interrupted.act = Interrupted.act, None
                if act is not None:
                    act()

        return super().put(key, pieces())


@pytest.fixture
def interrupted(one: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(jobs, "PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(stream, "NARROW_ROWS", 4)
    monkeypatch.setattr(stream, "BATCH_ROWS", 4)
    monkeypatch.setattr(jobs.OnFirstUse, "opened", lambda _: Interrupted(one.folder))
    one.calls(20)
    return one


def test_one_that_is_cancelled_meanwhile_leaves_nothing(interrupted: Desk) -> None:
    made = interrupted.order()
    Interrupted.act = lambda: interrupted.app.delete(f"{ORDERS}/{made['id']}")
    interrupted.work()
    assert interrupted.shown(made["id"])["status"] == "cancelled"
    assert (interrupted.files(), interrupted.events()) == ([], [])


def test_progress_is_seen(interrupted: Desk) -> None:
    made = interrupted.order(format="jsonl")
    seen: list[Any] = []

    def look() -> None:
        Interrupted.act = lambda: seen.append(interrupted.shown(made["id"]))

    Interrupted.act = look
    interrupted.work()
    assert seen[0]["status"] == "processing"
    assert seen[0]["progress"]["rows"] == 4
    assert (seen[0]["progress"]["rows_expected"], float(seen[0]["progress"]["fraction"])) == (
        20, 0.2,
    )  # fmt: skip
    assert seen[0]["started_at"] == "2026-11-28T12:00:00Z"
    assert seen[0]["size_bytes"] is None


def test_a_worker_that_dies_is_followed_by_another(one: Desk) -> None:
    one.calls(3)
    made = one.order()
    one.work(one.runner(spawn=lambda run: None))  # takes it, and is heard of no more
    assert one.shown(made["id"])["status"] == "pending"
    one.later(LEASE_S + 10)
    one.work()
    one.later(10)
    one.work()
    assert one.shown(made["id"])["status"] == "completed"
    assert (len(one.files()), len(one.events())) == (1, 1)


def test_a_worker_that_comes_back_late_changes_nothing(interrupted: Desk) -> None:
    made = interrupted.order()

    def other() -> None:
        interrupted.later(LEASE_S + 10)
        interrupted.work()
        interrupted.later(10)
        interrupted.work()

    Interrupted.act = other
    runner = interrupted.runner()
    interrupted.work(runner)
    done = interrupted.shown(made["id"])
    assert done["status"] == "completed"
    assert (len(interrupted.files()), len(interrupted.events())) == (1, 1)
    assert hashlib.sha256(interrupted.file(made["id"]).content).hexdigest() == done["sha256"]


def test_what_a_dead_attempt_wrote_is_removed(interrupted: Desk) -> None:
    made = interrupted.order()
    finish = jobs._Making._finish
    dying: list[object] = []

    def die(self: Any, row: Any) -> None:
        if not dying:
            dying.append(self)
            raise RuntimeError("killed")
        finish(self, row)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs._Making, "_finish", die)
        interrupted.work()
        assert len(interrupted.files()) == 1
        left = interrupted.files()
        interrupted.later(60)
        interrupted.work()
    assert interrupted.shown(made["id"])["status"] == "completed"
    assert len(interrupted.files()) == 1
    assert interrupted.files() != left


def test_a_stopping_worker_gives_it_back(interrupted: Desk) -> None:
    made = interrupted.order()
    runner = interrupted.runner()
    Interrupted.act = runner.stop
    interrupted.work(runner)
    assert (interrupted.shown(made["id"])["status"], interrupted.files()) == ("processing", [])
    interrupted.work()
    assert interrupted.shown(made["id"])["status"] == "completed"


def test_another_organization_sees_nothing(one: Desk) -> None:
    made = one.order()
    one.work()
    other = one.app.another()
    for export_id in (made["id"], UNKNOWN):
        assert other.get(f"{ORDERS}/{export_id}").status_code == 404
        assert other.get(f"{ORDERS}/{export_id}/download").status_code == 404
        assert other.delete(f"{ORDERS}/{export_id}").status_code == 404
    assert other.get(ORDERS).json()["data"] == []
    assert one.file(made["id"]).status_code == 200


def test_who_is_limited_sees_what_was_made_within_the_same_limits(
    one: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "BATCH", 2)
    one.calls(2, project_id="a")
    one.calls(3, project_id="b")
    database, own = one.app.database, one.app.organization_id
    keys = {}
    for name, projects in (("ann", ["a"]), ("al", ["a"]), ("bob", ["b"])):
        role = make_role(
            database, one.clock, own, f"of-{name}", ["read:costs", "export:data"],
            {"projects": projects},
        )  # fmt: skip
        keys[name] = key_of(one.app, name, role)
    whole, ann = one.order(), one.order(key=keys["ann"])
    one.work()
    assert one.shown(whole["id"])["progress"]["rows"] == 5
    assert one.shown(ann["id"])["progress"]["rows"] == 2
    for name, sees in (("ann", True), ("al", True), ("bob", False)):
        assert (one.file(ann["id"], key=keys[name]).status_code == 200) is sees
        assert one.file(whole["id"], key=keys[name]).status_code == 404
        listed = one.app.get(ORDERS, key=keys[name]).json()["data"]
        assert [each["id"] for each in listed] == [ann["id"]] * sees
        answer = one.app.delete(f"{ORDERS}/{whole['id']}", key=keys[name])
        assert answer.status_code == 404


def test_the_narrower_of_two_permissions_limits(one: Desk) -> None:
    one.calls(2, project_id="a")
    one.calls(3, project_id="b")
    at = (one.app.database, one.clock, one.app.organization_id)
    reads = make_role(*at, "reads-a", ["read:costs"], {"projects": ["a"]})
    exports = make_role(*at, "exports", ["export:data"])
    key = key_of(one.app, "eve", reads, exports)
    made, whole = one.order(key=key), one.order()
    one.work()
    assert one.shown(made["id"], key=key)["progress"]["rows"] == 2
    assert one.file(whole["id"], key=key).status_code == 404
    alone = key_of(one.app, "only", exports)
    assert one.app.post(ORDERS, json={}, key=alone).status_code == 403
    assert one.file(whole["id"], key=alone).status_code == 404


def test_pages_of_exports(one: Desk) -> None:
    ids = [one.order()["id"] for _ in range(5)]
    page = one.app.get(ORDERS, params={"limit": 2}).json()
    found = [each["id"] for each in page["data"]]
    while page["next_cursor"]:
        page = one.app.get(ORDERS, params={"limit": 2, "cursor": page["next_cursor"]}).json()
        found += [each["id"] for each in page["data"]]
    assert found == sorted(ids, reverse=True)
    assert one.app.get(ORDERS, params={"status": "failed"}).json()["data"] == []
    assert one.app.get(ORDERS, params={"status": "nope"}).status_code == 422
    assert one.app.get(ORDERS, params={"misspelt": 1}).status_code == 422


def test_a_store_that_is_down_fails_the_export_in_the_end(
    sqlite_settings: DatabaseSettings, tmp_path: Path
) -> None:
    with object_server() as server:
        stored = StorageSettings(
            backend="s3", s3_bucket="b", s3_region=REGION, s3_access_key=ACCESS_KEY,
            s3_secret_key=SECRET_KEY, s3_endpoint=server.url, timeout_seconds=1,
        )  # fmt: skip
        with desk(sqlite_settings, tmp_path, stored) as made:
            made.calls(2)
            good = made.order()
            made.work()
            assert made.file(good["id"]).content.startswith(b"timestamp,id")
            assert len(server.objects) == 1
            server.refusing = 400
            refused = made.file(good["id"])
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "15")
            bad = made.order()
            for _ in range(10):
                made.work()
                made.later(400)
            shown = made.shown(bad["id"])
            assert (shown["status"], shown["reason"]) == (
                "failed", "The storage does not answer, or not as expected.",
            )  # fmt: skip
            assert [topic for topic, _ in made.events()] == ["export.completed", "export.failed"]
            server.refusing = None
            made.later(timedelta(days=8).total_seconds())
            made.work()
            assert server.objects == {}


def test_what_the_settings_lack_is_told_when_it_is_ordered(
    sqlite_settings: DatabaseSettings, tmp_path: Path
) -> None:
    with desk(sqlite_settings, tmp_path, StorageSettings(backend="gcs")) as made:
        answer = made.app.post(ORDERS, json={})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "3600")
        assert "storage.gcs_bucket is not set" in answer.json()["error"]["message"]


@pytest.mark.parametrize("trouble", TROUBLES, ids=["timeout", "deadlock"])
def test_a_trouble_that_passes_ends_no_export(
    one: Desk, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    fails_once(monkeypatch, jobs, "as_booked", trouble)
    one.calls(2)
    made = one.order()
    one.work()
    assert one.shown(made["id"])["status"] == "pending"
    one.later(400)
    one.work()
    assert one.shown(made["id"])["status"] == "completed"


def test_an_estimate_that_takes_too_long_is_done_without(
    one: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_once(monkeypatch, asked, "aggregate", TROUBLES[0])
    one.calls(2)
    made = one.order()
    one.work()
    assert one.shown(made["id"])["status"] == "completed"
