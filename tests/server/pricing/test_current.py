"""One reading of an organization's prices serves everybody who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from llm_cost_ops.core.pricing.book import PriceBook
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason
from llm_cost_ops.server.pricing.resolve import FRESH_S, OrganizationPrices, Prices
from tests.support.application import make_organization


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 3, 15, 12, 0, tzinfo=UTC))


@pytest.fixture
def organization_id(database: Database, clock: FixedClock) -> str:
    return make_organization(database, clock)


@pytest.fixture
def prices(database: Database, clock: FixedClock) -> Prices:
    return Prices(PriceBook.packaged(), database, clock)


@pytest.fixture
def readings(database: Database) -> Iterator[list[str]]:
    """Queries of stored prices, as they are made."""
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM deployments" in statement and "max(" in statement:
            seen.append(statement)

    event.listen(database.reader, "before_cursor_execute", note)
    yield seen
    event.remove(database.reader, "before_cursor_execute", note)


def crowd(prices: Prices, organization_id: str, size: int = 50) -> list[Any]:
    """What so many requests at once are given."""

    async def main() -> list[Any]:
        waiting = (prices.current(organization_id) for _ in range(size))
        return await asyncio.gather(*waiting, return_exceptions=True)

    return asyncio.run(main())


def test_a_crowd_causes_one_reading(
    prices: Prices, organization_id: str, readings: list[str], clock: FixedClock
) -> None:
    views = crowd(prices, organization_id)
    assert len(set(map(id, views))) == 1
    assert isinstance(views[0], OrganizationPrices)
    assert len(readings) == 1
    clock.elapsed_s += FRESH_S
    assert crowd(prices, organization_id)[0] is views[0]
    assert len(readings) == 1
    clock.elapsed_s += 0.001
    assert crowd(prices, organization_id)[0] is views[0]
    assert len(readings) == 2


@pytest.mark.parametrize("early_ends_first", [False, True])
def test_what_is_set_meanwhile_is_read_anew(
    prices: Prices, organization_id: str, readings: list[str], early_ends_first: bool
) -> None:
    """A reading that began before the change must not serve those who come after it."""

    async def main() -> None:
        early = asyncio.ensure_future(prices.current(organization_id))
        await asyncio.sleep(0)
        while not readings:
            await asyncio.sleep(0)
        prices.forget(organization_id)
        if early_ends_first:
            await early
        await prices.current(organization_id)
        await early

    asyncio.run(main())
    assert len(readings) == 2


def test_everybody_hears_of_a_failure_and_the_next_tries_again(
    prices: Prices, organization_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> OrganizationPrices:
        raise DatabaseUnavailable(Reason.CONNECTION)

    with monkeypatch.context() as broken:
        broken.setattr(prices, "view", fail)
        found = crowd(prices, organization_id, 3)
    assert [type(error) for error in found] == [DatabaseUnavailable] * 3
    assert isinstance(crowd(prices, organization_id, 1)[0], OrganizationPrices)
