"""A wall clock that jumps a day ahead and back again (fault row 9): ids stay unique, keys and
deadlines keep their sense, and only the future is refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.core.instant import format_instant, to_micros
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from tests.chaos.conftest import Launch
from tests.chaos.ledger import check_ledger
from tests.chaos.load import PRICE, Crowd, set_price
from tests.chaos.scale import SEED, in_full, patient
from tests.support.application import Application, running
from tests.support.server_process import ServerProcess

MOVABLE_CLOCK = """
import os
from datetime import timedelta
from llm_cost_ops.server.clock import SystemClock

def hours():
    with open(os.environ["CLOCK_OFFSET_FILE"]) as file:
        return timedelta(hours=int(file.read() or 0))

now, micros = SystemClock.now, SystemClock.micros
SystemClock.now = lambda self: now(self) + hours()
SystemClock.micros = lambda self: micros(self) + hours() // timedelta(microseconds=1)
"""
"""Imported by the server's interpreter before anything else: its clock reads the file's offset.
The clock is the only reader of wall time, and monotonic time stays as it is."""
START = datetime(2026, 3, 8, 6, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def call_at(when: datetime, event_id: str) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "provider": "custom",
        "model": PRICE["model"],
        "prompt_tokens": 10,
        "completion_tokens": 1,
        "timestamp": format_instant(when),
    }


class Jumping:
    """An application whose clock is moved; its monotonic time only ever goes forward."""

    def __init__(self, application: Application, clock: FixedClock) -> None:
        self.application = application
        self.clock = clock

    def jump(self, by: timedelta) -> None:
        self.clock.current += by
        self.clock.elapsed_s += 2  # what was remembered for a second has ended

    def send(self, when: datetime, event_id: str, **headers: str) -> Any:
        return self.application.post("/api/v1/usage", json=call_at(when, event_id), headers=headers)


def test_a_day_ahead_and_back(database_settings: DatabaseSettings) -> None:
    clock = FixedClock(START)
    with running(Settings(database=database_settings), clock=clock) as application:
        assert application.post("/api/v1/pricing", json=PRICE).status_code == 201
        jumping = Jumping(application, clock)
        short = application.new_key(expires_at=to_micros(START + 24 * HOUR))
        ids = [jumping.send(START, "at-0").json()["id"]]

        assert jumping.send(START + 24 * HOUR, "edge").status_code == 201
        late = jumping.send(START + 24 * HOUR + timedelta(seconds=1), "future")
        assert late.status_code == 422
        assert "timestamp" in late.json()["error"]["field_errors"]

        jumping.jump(25 * HOUR)
        assert jumping.send(START + 26 * HOUR, "future").status_code == 201
        ids += [jumping.send(START, f"ahead-{n}").json()["id"] for n in range(3)]
        assert jumping.send(START, "at-0").json()["id"] == ids[0]
        assert application.get("/api/v1/costs", key=short).status_code == 401
        assert application.get("/api/v1/costs").status_code == 200

        jumping.jump(-HOUR)
        ids += [jumping.send(START + 24 * HOUR, f"back-{n}").json()["id"] for n in range(3)]
        jumping.jump(-24 * HOUR - timedelta(minutes=1))
        assert application.get("/api/v1/costs", key=short).status_code == 200
        ids += [jumping.send(START, f"before-{n}").json()["id"] for n in range(3)]
        assert jumping.send(START + 26 * HOUR, "future").status_code == 422

        assert len(set(ids)) == len(ids)
        stored = paged(application)
        assert len(stored) == len(set(stored)) == len(ids) + 2
        assert set(ids) <= set(stored)


def paged(application: Application) -> list[str]:
    found: list[str] = []
    cursor = ""
    while True:
        page = application.get(f"/api/v1/costs?limit=3{cursor}").json()
        found += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def test_an_idempotency_key_outlives_its_day_by_the_clock_alone(
    database_settings: DatabaseSettings,
) -> None:
    clock = FixedClock(START)
    key = {"Idempotency-Key": "one"}
    with running(Settings(database=database_settings), clock=clock) as application:
        assert application.post("/api/v1/pricing", json=PRICE).status_code == 201
        jumping = Jumping(application, clock)
        first = jumping.send(START, "a", **key)
        jumping.jump(-HOUR)
        again = jumping.send(START, "a", **key)
        assert (again.content, again.headers["Idempotency-Replayed"]) == (first.content, "true")
        jumping.jump(26 * HOUR)
        anew = jumping.send(START, "a", **key)
        assert "Idempotency-Replayed" not in anew.headers
        assert anew.json()["id"] == first.json()["id"]
        jumping.jump(-25 * HOUR)
        assert jumping.send(START, "a", **key).json()["id"] == first.json()["id"]


def test_the_clock_jumps_under_load(
    sqlite_settings: DatabaseSettings, launch: Launch, tmp_path: Path
) -> None:
    _jump_under_load(sqlite_settings, launch, tmp_path)


@in_full
@pytest.mark.chaos
def test_the_clock_jumps_under_load_of_servers(
    server_settings: DatabaseSettings, launch: Launch, tmp_path: Path
) -> None:
    _jump_under_load(server_settings, launch, tmp_path)


def _jump_under_load(settings: DatabaseSettings, launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(MOVABLE_CLOCK, encoding="utf-8")
    offset = tmp_path / "offset"
    offset.write_text("0")
    environment = {"PYTHONPATH": str(tmp_path), "CLOCK_OFFSET_FILE": str(offset)}
    server = launch(settings, cold=True, environment=environment)
    set_price(server)
    with Crowd([server], seed=SEED, clients=4) as crowd:
        for jump in (25, 24, -1, 0):
            crowd.acknowledged_more(40)
            new = offset.with_suffix(".new")
            new.write_text(str(jump))
            new.replace(offset)
            _wait_for_jump(server, jump)
        crowd.acknowledged_more(40)
    answers = crowd.history.answers
    assert crowd.history.statuses().keys() <= {200, 201}
    assert max(answer.seconds for answer in answers) < patient(5)
    assert server.terminate() == 0
    check_ledger(settings, crowd.history)


def _wait_for_jump(server: ServerProcess, hours: int, within_s: float = patient(10)) -> None:
    """Until the server's own clock says so."""
    until = time.monotonic() + within_s
    while True:
        said = datetime.fromisoformat(server.get("/health").json()["timestamp"])
        if round((said - datetime.now(UTC)) / HOUR) == hours:
            return
        assert time.monotonic() < until, said
        time.sleep(0.05)
