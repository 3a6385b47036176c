"""Which budgets a call counts in, found among ten thousand without looking at each.

Every budget stands under the values of one of its dimensions, the one that names the fewest calls;
the others are compared for those alone that are found there. A call that counts in a budget counts
in those above it, too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine

from llm_cost_ops.core.budget import Budget, ancestors, resolve_shares
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.core.scope import COLUMNS, METADATA, TAGS, Facts, metadata_texts
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.spend import store
from llm_cost_ops.server.spend.lock import seen_version, shared_version

_NARROW_FIRST = ("user_id", "api_key_id", "project_id", "team_id", "feature", "model", "provider")
_LAST = len(_NARROW_FIRST)
MAX_REMEMBERED = 10_000
MAX_ORGANIZATIONS = 10_000
Labels = tuple[str | None, ...]
"""Of a call: the columns in the order of `COLUMNS`, then the JSON texts of tags and metadata."""


class Index:
    """The budgets of one organization as of one version. Threads may share it."""

    def __init__(self, version: int, budgets: Iterable[Budget]) -> None:
        self.version = version
        self.budgets = resolve_shares(budgets)
        self.parents = {b.id: b.parent_id for b in self.budgets.values()}
        self._everywhere: list[Budget] = []
        self._under: dict[str, dict[str, list[Budget]]] = {}
        for budget in self.budgets.values():
            self._place(budget)
        named = {dim for b in self.budgets.values() for dim, _ in b.scope.dimensions}
        self._columns = tuple(place for place, name in enumerate(COLUMNS) if name in named)
        self._tags = TAGS in named
        self._metadata = any(name.startswith(METADATA) for name in named)
        self._known: dict[Labels, tuple[Budget, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self.budgets)

    def _place(self, budget: Budget) -> None:
        dimensions = budget.scope.dimensions
        if not dimensions:
            self._everywhere.append(budget)
            return
        name, values = min(dimensions, key=_breadth)
        under = self._under.setdefault(name, {})
        for value in values:
            under.setdefault(value, []).append(budget)

    def of(self, labels: Labels) -> tuple[Budget, ...]:
        """The budgets that a call with these labels counts in, by id."""
        wanted = tuple(labels[place] for place in self._columns)
        key = (
            *wanted,
            labels[-2] if self._tags else None,
            labels[-1] if self._metadata else None,
        )
        found = self._known.get(key)
        if found is None:
            found = self.having(facts_of(labels))
            if len(self._known) < MAX_REMEMBERED:
                self._known[key] = found
        return found

    def having(self, facts: Facts) -> tuple[Budget, ...]:
        """The budgets whose scope, or that of one below them, holds these facts, by id."""
        candidates = list(self._everywhere)
        for dimension, under in self._under.items():
            for value in facts.values(dimension):
                candidates += under.get(value, ())
        ids: set[str] = set()
        for budget in candidates:
            if budget.id not in ids and budget.scope.holds(facts):
                ids.add(budget.id)
                ids.update(ancestors(budget.id, self.parents))
        return tuple(self.budgets[budget_id] for budget_id in sorted(ids))

    def family(self, budget_id: str) -> list[Budget]:
        """A budget and all those below it."""
        return [
            budget
            for budget in self.budgets.values()
            if budget.id == budget_id or budget_id in ancestors(budget.id, self.parents)
        ]


def _breadth(dimension: tuple[str, frozenset[str]]) -> tuple[int, int, str]:
    name, values = dimension
    rank = _NARROW_FIRST.index(name) if name in _NARROW_FIRST else _LAST
    return rank, len(values), name


def facts_of(labels: Labels) -> Facts:
    """What a scope compares, read from the labels of a call."""
    columns: dict[str, str | None] = dict(zip(COLUMNS, labels, strict=False))
    tags, metadata = labels[-2], labels[-1]
    listed: list[str] = loads(tags) if tags else []
    held: Mapping[str, Any] = loads(metadata) if metadata else {}
    return Facts(columns, frozenset(listed), dict(metadata_texts(held)))


class _Indexes:
    """The last index of each organization that this process has read."""

    def __init__(self) -> None:
        self._by_organization: dict[str, Index] = {}
        self._lock = threading.Lock()

    def get(self, organization_id: str) -> Index | None:
        return self._by_organization.get(organization_id)

    def put(self, organization_id: str, index: Index) -> None:
        with self._lock:
            known = self._by_organization
            known[organization_id] = index
            while len(known) > MAX_ORGANIZATIONS:
                del known[next(iter(known))]


_indexes: WeakKeyDictionary[Engine, _Indexes] = WeakKeyDictionary()
_NONE = Index(0, ())


def index_in(session: WriteSession, organization_id: str, *, wait: bool = True) -> Index:
    """The budgets of the organization, kept from changing until the transaction ends. Read again
    only when their version is another than the one that this process knows. Raises VersionHeld when
    they are being changed and `wait` is false."""
    version = shared_version(session, organization_id, wait=wait)
    return _index_of(session, organization_id, version)


def index_seen(session: ReadSession, organization_id: str) -> Index:
    """The budgets of the organization as a snapshot shows them, with nothing locked."""
    return _index_of(session, organization_id, seen_version(session, organization_id))


def _index_of(session: ReadSession, organization_id: str, version: int) -> Index:
    if version == 0:
        return _NONE
    indexes = _indexes.setdefault(session.connection.engine, _Indexes())
    known = indexes.get(organization_id)
    if known is None or known.version != version:
        known = Index(version, store.load(session, organization_id))
        indexes.put(organization_id, known)
    return known
