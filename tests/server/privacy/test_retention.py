"""What is older than its policy is archived, read back, and only then removed."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zstandard
from prometheus_client import CollectorRegistry
from sqlalchemy import insert

from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.forecasts.tables import forecasts
from llm_cost_ops.server.privacy import archive
from llm_cost_ops.server.privacy.archive import Archive, ArchiveFailed, write_archive
from llm_cost_ops.server.queue.metrics import QueueMetrics
from llm_cost_ops.server.settings import DatabaseSettings, RetentionSettings, Settings
from llm_cost_ops.server.webhooks.tables import webhook_attempts, webhook_deliveries
from llm_cost_ops.server.worker import create_worker
from tests.support.application import Application, running
from tests.support.calls import accepted, count, error, put, record, send, usage

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY_US = 86_400_000_000


class Place:
    def __init__(self, app: Application, settings: Settings, folder: Path) -> None:
        self.app, self.settings, self.folder = app, settings, folder
        self.now_us = app.clock.micros()

    def keep(self, kept: str, days: int | None, **more: Any) -> Any:
        return accepted(put(self.app, f"/retention/{kept}", {"days": days, **more}))

    def run(self) -> None:
        accepted(send(self.app, "/retention/run", {}), 202)
        metrics = QueueMetrics(CollectorRegistry())
        create_worker(self.settings, self.app.database, self.app.clock, metrics).run(
            until_idle=True
        )

    def due(self) -> dict[str, int]:
        rows = accepted(self.app.get("/api/v1/retention"))["data"]
        return {row["kept"]: row["due"] for row in rows}

    def archives(self) -> list[dict[str, Any]]:
        return list(accepted(self.app.get("/api/v1/retention/archives"))["data"])

    def forecast(self, name: str, days: int, organization_id: str | None = None) -> None:
        row = {
            "id": f"fct_{name}",
            "organization_id": organization_id or self.app.organization_id,
            "frequency": "daily",
            "request": "{}",
            "answer": '{"a":1.50}',
            "created_at": self.now_us - days * DAY_US,
        }
        with write(self.app.database) as session:
            session.execute(insert(forecasts), row)

    def delivery(self, name: str, days: int | None) -> None:
        ended = None if days is None else self.now_us - days * DAY_US
        row = {
            "id": f"dlv_{name}",
            "organization_id": self.app.organization_id,
            "endpoint_id": "whk_1",
            "event_id": f"evt_{name}",
            "topic": "t",
            "event_type": "t",
            "status": "delivered",
            "event_at": 1,
            "created_at": 1,
            "finished_at": ended,
        }
        tried = {
            "id": f"att_{name}",
            "organization_id": self.app.organization_id,
            "delivery_id": f"dlv_{name}",
            "number": 1,
            "at": 1,
            "took_us": 1,
            "delivered": 1,
            "detail": "",
        }
        with write(self.app.database) as session:
            session.execute(insert(webhook_deliveries), row)
            session.execute(insert(webhook_attempts), tried)


def _place(settings: DatabaseSettings, folder: Path) -> Iterator[Place]:
    folder.mkdir()
    patient = replace(settings, lock_timeout_ms=20_000, statement_timeout_ms=30_000)
    given = Settings(database=patient, retention=RetentionSettings(archive_directory=str(folder)))
    with running(given, clock=FixedClock(NOW)) as app:
        yield Place(app, given, folder)


@pytest.fixture
def place(database_settings: DatabaseSettings, tmp_path: Path) -> Iterator[Place]:
    yield from _place(database_settings, tmp_path / "archives")


@pytest.fixture
def quick(sqlite_settings: DatabaseSettings, tmp_path: Path) -> Iterator[Place]:
    yield from _place(sqlite_settings, tmp_path / "archives")


def lines(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file).read()
    return [json.loads(line) for line in io.BytesIO(text)]


def test_what_is_older_is_archived_and_removed(place: Place) -> None:
    record(place.app, usage("kept", user_id="alice"))
    for name, days in (("old", 31), ("edge", 30), ("new", 1)):
        place.forecast(name, days)
        place.delivery(name, days)
    place.delivery("waiting", None)
    other = place.app.another()
    place.forecast("theirs", 400, other.organization_id)
    place.keep("forecasts", 30)
    place.keep("webhook_deliveries", 30)
    assert place.due()["forecasts"] == 1
    assert place.due()["webhook_deliveries"] == 1
    place.run()
    assert count(place.app, "forecasts") == 2
    assert count(other, "forecasts") == 1
    assert count(place.app, "webhook_deliveries") == 3
    assert count(place.app, "webhook_attempts") == 3
    assert count(place.app, "usage_records") == 1
    found = {row["kept"]: row for row in place.archives()}
    assert found.keys() == {"forecasts", "webhook_deliveries"}
    for row in found.values():
        path = place.folder / row["file"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
        manifest = json.loads((place.folder / f"{row['id']}.manifest.json").read_text())
        assert manifest["sha256"] == row["sha256"]
        assert path.stat().st_mode & 0o777 == 0o600
    (line,) = lines(place.folder / found["forecasts"]["file"])
    assert line["table"] == "forecasts"
    assert line["row"]["id"] == "fct_old"
    tables = [one["table"] for one in lines(place.folder / found["webhook_deliveries"]["file"])]
    assert tables == ["webhook_deliveries", "webhook_attempts"]
    before = sorted(place.folder.iterdir())
    place.run()
    assert sorted(place.folder.iterdir()) == before


def test_without_a_policy_everything_stays(quick: Place) -> None:
    quick.forecast("ancient", 5_000)
    quick.run()
    assert count(quick.app, "forecasts") == 1
    assert list(quick.folder.iterdir()) == []
    quick.keep("forecasts", 10)
    quick.keep("forecasts", None)
    quick.run()
    assert count(quick.app, "forecasts") == 1


@pytest.mark.parametrize("fault", ["gone", "damaged", "unset"])
def test_nothing_is_removed_without_its_archive(
    quick: Place, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick.forecast("old", 31)
    quick.keep("forecasts", 30)
    if fault == "gone":
        quick.folder.rmdir()
    elif fault == "unset":
        quick.settings = replace(quick.settings, retention=RetentionSettings())
    else:
        read_back = archive._read_back

        def damaged(path: Path, name: str) -> Archive:
            return replace(read_back(path, name), content_sha256="0" * 64)

        monkeypatch.setattr(archive, "_read_back", damaged)
    quick.run()
    assert count(quick.app, "forecasts") == 1
    assert quick.archives() == []
    quick.keep("forecasts", 30, archive=False)
    quick.run()
    assert count(quick.app, "forecasts") == 0


def test_many_rows_make_several_archives(quick: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_cost_ops.server.privacy.keepers.PAGE", 2)
    for number in range(5):
        quick.forecast(f"{number}", 40)
    quick.keep("forecasts", 30)
    quick.run()
    assert count(quick.app, "forecasts") == 0
    assert sorted(row["rows"] for row in quick.archives()) == [1, 2, 2]


def test_names_of_archives_are_ids_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "arc_1.jsonl.zst.part").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArchiveFailed):
        write_archive(str(tmp_path), "arc_1", [{"a": 1}])
    assert not (tmp_path / "elsewhere").exists()
    made = write_archive(str(tmp_path), "arc_2", [{"a": 1}, {"a": "\n"}])
    assert (made.name, made.rows) == ("arc_2.jsonl.zst", 2)
    with pytest.raises(ArchiveFailed):
        write_archive(None, "arc_3", [])


@pytest.mark.parametrize(
    ("kept", "body", "field"),
    [
        ("forecasts", {"days": 0}, "days"),
        ("forecasts", {"days": 36_501}, "days"),
        ("forecasts", {"days": True}, "days"),
        ("forecasts", {"days": "30"}, "days"),
        ("forecasts", {}, "days"),
        ("forecasts", {"days": 1, "archive": "no"}, "archive"),
        ("forecasts", {"days": 1, "keep": 1}, "keep"),
    ],
)
def test_wrong_policies(quick: Place, kept: str, body: dict[str, Any], field: str) -> None:
    found = error(put(quick.app, f"/retention/{kept}", body), 422)
    assert field in found["field_errors"]


def test_unknown_things_and_permissions(quick: Place) -> None:
    error(put(quick.app, "/retention/usage_records", {"days": 1}), 404)
    for days in (1, 36_500):
        quick.keep("alerts", days)
    reader = quick.app.new_key("read:privacy")
    assert quick.app.get("/api/v1/retention", key=reader).status_code == 200
    answer = quick.app.request("PUT", "/api/v1/retention/alerts", json={"days": 1}, key=reader)
    assert answer.status_code == 403
    assert (
        quick.app.get("/api/v1/retention", key=quick.app.new_key("read:costs")).status_code == 403
    )


def test_the_schedule_goes_through_all_organizations(quick: Place) -> None:
    quick.forecast("old", 31)
    quick.keep("forecasts", 30, archive=False)
    clock = quick.app.clock
    assert isinstance(clock, FixedClock)
    metrics = QueueMetrics(CollectorRegistry())
    worker = create_worker(quick.settings, quick.app.database, clock, metrics)
    worker.run(until_idle=True)
    clock.current += timedelta(days=1)
    clock.elapsed_s += 86_400
    worker = create_worker(quick.settings, quick.app.database, clock, metrics)
    worker.run(until_idle=True)
    assert count(quick.app, "forecasts") == 0
