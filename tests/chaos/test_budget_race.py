"""Several server processes and one hard budget (fault row 28): as many calls as fit are admitted,
not one more, and nothing stays held."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import pytest

from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.db.engine import open_database
from llm_cost_ops.server.db.session import snapshot
from llm_cost_ops.server.ledger.recount import first_difference
from llm_cost_ops.server.settings import DatabaseSettings
from tests.chaos.conftest import Launch
from tests.chaos.scale import SEED, up_to
from tests.support.server_process import ServerProcess

CALLS = 400
FIT = 37
ESTIMATE = Decimal("0.012345678")
RUNS = up_to(2, 50)
JSON = {"Content-Type": "application/json"}


@dataclass
class Rivals:
    """Clients of several servers on one database."""

    servers: Sequence[ServerProcess]
    client: httpx.AsyncClient

    async def post(self, turn: int, path: str, body: Any, key: str | None = None) -> httpx.Response:
        """A request to one server after the other, until one of them answers it for good."""
        headers = {**JSON, **self.servers[0].tenant.headers}
        if key is not None:
            headers["Idempotency-Key"] = key
        for attempt in range(200):
            server = self.servers[(turn + attempt) % len(self.servers)]
            url = f"{server.base_url}/api/v1/budgets{path}"
            try:
                answer = await self.client.post(url, content=dumps(body), headers=headers)
            except httpx.TransportError:
                await asyncio.sleep(0.02)
                continue
            twin = answer.status_code == 409 and "being worked on" in answer.text
            if answer.status_code != 503 and not twin:
                return answer
            await asyncio.sleep(0.05)
        raise AssertionError("nobody answers")

    async def get(self, budget_id: str) -> Any:
        server = self.servers[0]
        url = f"{server.base_url}/api/v1/budgets/{budget_id}"
        answer = await self.client.get(url, headers=server.tenant.headers)
        assert answer.status_code == 200, answer.text
        return loads(answer.text)

    async def budget(self, name: str, amount: Decimal, **scope: Any) -> str:
        body = {"name": name, "amount": amount, "enforcement": "hard", "scope": scope}
        answer = await self.post(0, "", body)
        assert answer.status_code == 201, answer.text
        return str(loads(answer.text)["id"])

    async def reserve(self, turn: int, key: str, **fields: Any) -> httpx.Response:
        return await self.post(turn, "/reserve", {"estimated_cost": ESTIMATE, **fields}, key)

    async def settle(self, turn: int, held: httpx.Response, cost: Decimal) -> None:
        reservation = loads(held.text)["reservation_id"]
        done = await self.post(turn, f"/reservations/{reservation}/settle", {"cost": cost})
        assert done.status_code == 200, done.text


def with_rivals(servers: Sequence[ServerProcess], work: Callable[[Rivals], Any]) -> Any:
    async def main() -> Any:
        # Without a bound: a pool whose server was killed hands out its places late.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
        async with httpx.AsyncClient(limits=limits, timeout=30) as client:
            return await work(Rivals(servers, client))

    return asyncio.run(main())


def started(launch: Launch, settings: DatabaseSettings, count: int) -> list[ServerProcess]:
    first = launch(settings)
    return [first, *(launch(settings, tenant=first.tenant) for _ in range(count - 1))]


def assert_counted(settings: DatabaseSettings, organization_id: str) -> None:
    database = open_database(settings)
    with snapshot(database) as session:
        difference = first_difference(session, organization_id)
    database.dispose()
    assert difference is None


async def assert_at_rest(rivals: Rivals, budget_id: str, spent: Decimal) -> None:
    found = await rivals.get(budget_id)
    assert found["reserved"] == 0
    assert found["spent"] == spent
    assert found["spent"] <= found["limit"]


@pytest.mark.chaos
@pytest.mark.parametrize("count", [2, 3])
def test_exactly_as_many_as_fit_are_admitted(
    database_settings: DatabaseSettings, launch: Launch, count: int
) -> None:
    servers = started(launch, database_settings, count)

    async def race(rivals: Rivals) -> None:
        for run in range(RUNS):
            project = f"race-{run}"
            budget_id = await rivals.budget(project, FIT * ESTIMATE, project_id=project)
            calls = [
                rivals.reserve(turn, f"{project}-{turn}", project_id=project)
                for turn in range(CALLS)
            ]
            answers = await asyncio.gather(*calls)
            statuses = Counter(answer.status_code for answer in answers)
            assert statuses == {201: FIT, 402: CALLS - FIT}
            held = [answer for answer in answers if answer.status_code == 201]
            ended = (rivals.settle(turn, one, ESTIMATE) for turn, one in enumerate(held))
            await asyncio.gather(*ended)
            await assert_at_rest(rivals, budget_id, FIT * ESTIMATE)

    with_rivals(servers, race)
    assert_counted(database_settings, servers[0].tenant.organization_id)


@pytest.mark.chaos
def test_what_is_not_needed_is_given_to_those_who_wait(
    database_settings: DatabaseSettings, launch: Launch
) -> None:
    """Twenty in flight, each costing a tenth of its estimate: of the calls that fit by what they
    cost nine tenths and more are admitted."""
    servers = started(launch, database_settings, 2)
    actual = ESTIMATE / 10
    fitting = 100

    async def work(rivals: Rivals, project: str, turns: Iterator[int]) -> int:
        admitted = 0
        for turn in turns:
            key = f"{project}-{turn}"
            held = await rivals.reserve(turn, key, project_id=project, max_wait_ms=8_000)
            if held.status_code == 201:
                admitted += 1
                await rivals.settle(turn, held, actual)
            else:
                assert held.status_code == 402, held.text
        return admitted

    async def race(rivals: Rivals) -> None:
        for run in range(RUNS):
            project = f"tenth-{run}"
            budget_id = await rivals.budget(project, fitting * actual, project_id=project)
            turns = iter(range(fitting * 2))
            found = await asyncio.gather(*(work(rivals, project, turns) for _ in range(20)))
            assert sum(found) >= 0.9 * fitting, found
            await assert_at_rest(rivals, budget_id, sum(found) * actual)

    with_rivals(servers, race)
    assert_counted(database_settings, servers[0].tenant.organization_id)


@pytest.mark.chaos
def test_six_overlapping_budgets_admit_all_or_none(
    database_settings: DatabaseSettings, launch: Launch
) -> None:
    servers = started(launch, database_settings, 3)

    async def race(rivals: Rivals) -> None:
        await rivals.budget("all", 10**6 * ESTIMATE)
        for run in range(RUNS):
            team, project = f"team-{run}", f"project-{run}"
            made = {
                "team": await rivals.budget("t", 70 * ESTIMATE, team_id=team),
                "project": await rivals.budget("p", 60 * ESTIMATE, project_id=project),
                "tag": await rivals.budget("g", 300 * ESTIMATE, tags=[team]),
                "model": await rivals.budget("m", 65 * ESTIMATE, model=f"model-{run}"),
            }
            for user in range(4):
                owner = f"user-{run}-{user}"
                made[owner] = await rivals.budget(owner, 20 * ESTIMATE, user_id=owner)
            calls = [
                rivals.reserve(
                    turn, f"six-{run}-{turn}", team_id=team, project_id=project, tags=[team],
                    model=f"model-{run}", provider="openai", user_id=f"user-{run}-{turn % 4}",
                )
                for turn in range(CALLS)
            ]  # fmt: skip
            answers = await asyncio.gather(*calls)
            assert Counter(a.status_code for a in answers) == {201: 60, 402: CALLS - 60}
            held = [answer for answer in answers if answer.status_code == 201]
            ended = (rivals.settle(turn, one, ESTIMATE) for turn, one in enumerate(held))
            await asyncio.gather(*ended)
            for name in ("team", "project", "tag", "model"):
                await assert_at_rest(rivals, made[name], 60 * ESTIMATE)
            users = [await rivals.get(made[f"user-{run}-{user}"]) for user in range(4)]
            assert sum(user["spent"] for user in users) == 60 * ESTIMATE
            assert all(user["spent"] <= 20 * ESTIMATE and user["reserved"] == 0 for user in users)

    with_rivals(servers, race)
    assert_counted(database_settings, servers[0].tenant.organization_id)


@pytest.mark.chaos
def test_a_server_that_is_killed_leaves_nothing_held(
    database_settings: DatabaseSettings, launch: Launch
) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    servers = started(launch, database_settings, 3)

    async def one(rivals: Rivals, project: str, turn: int) -> int:
        held = await rivals.reserve(turn, f"{project}-{turn}", project_id=project)
        if held.status_code == 201:
            await rivals.settle(turn, held, ESTIMATE)
        return held.status_code

    async def race(rivals: Rivals) -> None:
        for run in range(RUNS):
            project = f"killed-{run}"
            budget_id = await rivals.budget(project, FIT * ESTIMATE, project_id=project)
            calls = [asyncio.create_task(one(rivals, project, turn)) for turn in range(CALLS)]
            await asyncio.sleep(chance.uniform(0.01, 0.5))
            victim = rivals.servers[1 + run % 2]
            await asyncio.to_thread(victim.kill)
            statuses = Counter(await asyncio.gather(*calls))
            assert statuses == {201: FIT, 402: CALLS - FIT}
            await asyncio.to_thread(victim.start)
            await assert_at_rest(rivals, budget_id, FIT * ESTIMATE)

    with_rivals(servers, race)
    assert_counted(database_settings, servers[0].tenant.organization_id)
