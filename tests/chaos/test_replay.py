"""The same batch again and again, at once, at two servers (fault row 10): it counts once."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from llm_cost_ops.server.db.engine import open_database
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.settings import DatabaseSettings
from tests.chaos.conftest import Launch
from tests.chaos.history import History
from tests.chaos.ledger import check_ledger
from tests.chaos.load import Caller, set_price
from tests.chaos.scale import SEED
from tests.support.server_process import ServerProcess

TIMES = 10
AT_ONCE = 8


def posted_at_once(
    servers: list[ServerProcess], bodies: list[Any], path: str
) -> list[list[dict[str, Any]]]:
    """The results of each body; the servers take turns."""

    def post(number: int) -> list[dict[str, Any]]:
        answer = servers[number % len(servers)].post(path, json=bodies[number])
        assert answer.status_code in (200, 201), answer.text
        said = answer.json(parse_float=Decimal, parse_int=Decimal)
        return said["results"] if "results" in said else [{**said, "status": said["result"]}]

    with ThreadPoolExecutor(AT_ONCE) as senders:
        return list(senders.map(post, range(len(bodies))))


def created_once(answers: list[list[dict[str, Any]]], batch: list[dict[str, Any]]) -> None:
    fates = Counter((r["event_id"], r["status"]) for results in answers for r in results)
    for call in batch:
        assert fates.pop((call["event_id"], "created")) == 1
        assert fates.pop((call["event_id"], "duplicate")) == len(answers) - 1
    assert not fates
    ids = {(r["event_id"], r["id"]) for results in answers for r in results}
    assert len(ids) == len(batch)


@pytest.mark.parametrize("size", [1, 40, 500])
def test_ten_times_eight_at_once(
    database_settings: DatabaseSettings, launch: Launch, size: int
) -> None:
    first = launch(database_settings)
    second = launch(database_settings, tenant=first.tenant)
    set_price(first)
    history = History()
    batch = Caller("c", SEED, history).batch(size)
    body, path = (batch[0], "") if size == 1 else ({"records": batch}, "/batch")
    answers = posted_at_once([first, second], [body] * TIMES, f"/api/v1/usage{path}")
    created_once(answers, batch)
    for results in answers:
        history.acknowledge(results)
    _same_everywhere([first, second], size)
    second.kill()
    first.kill()
    check_ledger(database_settings, history)
    assert _count(database_settings, "outbox WHERE topic = 'usage.recorded'") == 1


def test_the_same_calls_in_another_order_each_time(
    database_settings: DatabaseSettings, launch: Launch
) -> None:
    """Transactions that want the same rows in opposite orders wait for each other: one of them is
    rolled back by the database and must be run again, unseen by its client."""
    first = launch(database_settings)
    second = launch(database_settings, tenant=first.tenant)
    set_price(first)
    history = History()
    batch = Caller("c", SEED, history).batch(200)
    chance = random.Random(SEED)
    bodies = [{"records": chance.sample(batch, len(batch))} for _ in range(3 * TIMES)]
    answers = posted_at_once([first, second], bodies, "/api/v1/usage/batch")
    created_once(answers, batch)
    for results in answers:
        history.acknowledge(results)
    second.kill()
    first.kill()
    check_ledger(database_settings, history)


def test_an_idempotency_key_at_two_servers(
    database_settings: DatabaseSettings, launch: Launch
) -> None:
    """Twins are told to wait (409) or get the one answer; the calls have no ids of their own."""
    first = launch(database_settings)
    second = launch(database_settings, tenant=first.tenant)
    set_price(first)
    history = History()
    (call,) = Caller("c", SEED, history).batch(1)
    cost = history.attempted.pop(call.pop("event_id"))
    headers = {"Idempotency-Key": "once"}

    def post(number: int) -> tuple[int, bytes]:
        server = (first, second)[number % 2]
        answer = server.post("/api/v1/usage", json=call, headers=headers)
        return answer.status_code, answer.content

    with ThreadPoolExecutor(AT_ONCE) as senders:
        answers = list(senders.map(post, range(4 * TIMES)))
    answers += [post(0), post(1)]
    assert {status for status, _ in answers} <= {201, 409}
    assert len({body for status, body in answers if status == 201}) == 1
    assert [status for status, _ in answers[-2:]] == [201, 201]
    said = first.post("/api/v1/usage", json=call, headers=headers).json()
    history.attempt(said["event_id"], cost)
    history.acknowledge([said])
    second.kill()
    first.kill()
    check_ledger(database_settings, history)


def _same_everywhere(servers: list[ServerProcess], count: int) -> None:
    for server in servers:
        summary = server.get("/api/v1/costs/summary").json()
        assert summary["total_requests"] == count


def _count(settings: DatabaseSettings, table: str) -> int:
    database = open_database(settings)
    with read(database) as session:
        found = session.scalar(text(f"SELECT COUNT(*) FROM {table}"))
    database.dispose()
    return int(found)
