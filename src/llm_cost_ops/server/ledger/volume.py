"""The volume of a month so far, for prices that depend on it."""

from __future__ import annotations

from sqlalchemy import func, select

from llm_cost_ops.core.instant import from_micros, to_micros
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.identity.tables import organizations
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.ledger.rollup import HOUR_US
from llm_cost_ops.server.ledger.tables import rollup_hourly


class VolumeMeter:
    """Monthly volumes within one transaction: what the ledger holds plus what this one adds.

    Calls count in the order in which they are recorded, in the UTC month of their own time.
    """

    def __init__(self, session: WriteSession) -> None:
        self._session = session
        self._volumes: dict[tuple[str, str, str, int, str], int] = {}
        self._locked: set[str] = set()

    def take(self, entry: Entry, metric: str) -> int:
        """The volume before this call, which is then added. `metric` is a rollup column."""
        start, end = _month(entry.timestamp)
        key = (entry.organization_id, entry.provider, entry.model_name, start, metric)
        if key not in self._volumes:
            self._volumes[key] = self._stored(key, end)
        before = self._volumes[key]
        self._volumes[key] = before + (
            entry.requests if metric == "requests" else entry.total_tokens
        )
        return before

    def _stored(self, key: tuple[str, str, str, int, str], end: int) -> int:
        organization_id, provider, model, start, metric = key
        self._lock(organization_id)
        table = rollup_hourly.c
        query = select(func.coalesce(func.sum(table[metric]), 0)).where(
            table.organization_id == organization_id,
            table.bucket >= start // HOUR_US,
            table.bucket < end // HOUR_US,
            table.provider == provider,
            table.model_name == model,
        )
        return int(self._session.execute(query).scalar_one())

    def _lock(self, organization_id: str) -> None:
        """Two writers must not both see the volume before the other: SQLite has only one writer."""
        if self._session.kind is DatabaseKind.SQLITE or organization_id in self._locked:
            return
        query = select(organizations.c.id).where(organizations.c.id == organization_id)
        self._session.execute(query.with_for_update())
        self._locked.add(organization_id)


def _month(at_us: int) -> tuple[int, int]:
    first = from_micros(at_us).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return to_micros(first), to_micros(following)
