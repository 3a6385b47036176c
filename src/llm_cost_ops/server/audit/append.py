"""Append entries to the chains of their organizations, last of all in a transaction.

Everybody who writes for an organization holds the row of its chain's head until the commit. So it
is taken when all else is done, and several are taken in the order of their ids: whoever waits for
one holds none that the other wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llm_cost_ops.server.audit.chain import GENESIS, entry_hash
from llm_cost_ops.server.audit.tables import audit_heads, audit_log
from llm_cost_ops.server.db.dialects import insert_ignore
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.db.urls import DatabaseKind

_NAME = "audit"
_COLUMNS = tuple(
    column.name
    for column in audit_log.columns
    if column.name not in ("who_commitment", "what_commitment")
)
_TABLE = "audit_log"


class Ending:
    """The entries of a transaction that waits for its end."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def __call__(self, session: WriteSession) -> None:
        """Write them. The chains' heads are held from here to the commit."""
        rows, self.rows = self.rows, []
        by_organization: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            by_organization.setdefault(row["organization_id"], []).append(row)
        for organization_id in sorted(by_organization):
            _append(session, organization_id, by_organization[organization_id])


def append_last(session: WriteSession, row: dict[str, Any]) -> None:
    """Append a row, which has neither place nor hash yet, before the commit."""
    ending = session.endings.get(_NAME)
    if not isinstance(ending, Ending):
        ending = session.endings[_NAME] = Ending()
    ending.rows.append(row)


def _append(session: WriteSession, organization_id: str, rows: Sequence[dict[str, Any]]) -> None:
    seq, previous = hold_head(session, organization_id)
    for row in rows:
        seq += 1
        row["seq"], row["previous_hash"] = seq, previous
        row["hash"] = previous = entry_hash(row, previous)
    values = [tuple(row[name] for name in _COLUMNS) for row in rows]
    many, moved = _INSERT[session.kind], _MOVE[session.kind]
    head = (seq, previous, organization_id)
    if session.kind is DatabaseKind.SQLITE:
        session.driver.executemany(many, values)
        session.driver.execute(moved, head)
        return
    with session.driver.cursor() as cursor:
        cursor.executemany(many, values)
        cursor.execute(moved, head)


def hold_head(session: WriteSession, organization_id: str) -> tuple[int, str]:
    """Place and hash of the last entry, (0, GENESIS) before the first, held until the commit."""
    found = _locked(session, organization_id)
    if found is None:
        session.execute(
            insert_ignore(session.kind, audit_heads, ("organization_id",)),
            {"organization_id": organization_id, "seq": 0, "hash": GENESIS},
        )
        found = _locked(session, organization_id)
    if found is None:
        raise AssertionError("the head of a chain is there once it was inserted")
    return int(found[0]), str(found[1])


def _locked(session: WriteSession, organization_id: str) -> Any:
    if session.kind is DatabaseKind.SQLITE:  # has one writer, whose turn it always is
        return session.driver.execute(_HEAD + "?", (organization_id,)).fetchone()
    with session.driver.cursor() as cursor:
        cursor.execute(_HEAD + "%s FOR UPDATE", (organization_id,))
        return cursor.fetchone()


_HEAD = "SELECT seq, hash FROM audit_heads WHERE organization_id = "


def _insert(quote: str, mark: str) -> str:
    columns = ", ".join(f"{quote}{name}{quote}" for name in _COLUMNS)
    return f"INSERT INTO {_TABLE} ({columns}) VALUES ({', '.join([mark] * len(_COLUMNS))})"  # noqa: S608


def _move(mark: str) -> str:
    return f"UPDATE audit_heads SET seq = {mark}, hash = {mark} WHERE organization_id = {mark}"  # noqa: S608


_INSERT = {
    DatabaseKind.SQLITE: _insert('"', "?"),
    DatabaseKind.POSTGRESQL: _insert('"', "%s"),
    DatabaseKind.MYSQL: _insert("`", "%s"),
}
_MOVE = {
    DatabaseKind.SQLITE: _move("?"),
    DatabaseKind.POSTGRESQL: _move("%s"),
    DatabaseKind.MYSQL: _move("%s"),
}
