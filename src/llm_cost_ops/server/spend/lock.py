"""Who changes an organization's budgets does it alone; who moves its counters only keeps that off.

Whoever records calls holds the version of the budgets shared, after the calls are written and until
they are committed. Whoever makes a budget holds it alone before adding up the ledger: every call is
then either in that sum or recorded by somebody who knows the new budget. On PostgreSQL this is an
advisory lock, because a shared row lock would be a write there; SQLite has one writer anyway.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

from sqlalchemy import exc, select, text, update

from llm_cost_ops.server.db.classify import classify
from llm_cost_ops.server.db.dialects import insert_ignore
from llm_cost_ops.server.db.errors import SerializationRetry
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.spend.tables import spend_versions

_ROW = spend_versions.c
_CLASS = 0x62756467
"""Keeps these advisory locks apart from others."""
_SELECT = "SELECT version FROM spend_versions WHERE organization_id = "


HASTE_MS = 250
"""How long who serves many organizations waits for a lock of one; a second on MySQL, which counts
in seconds."""


class VersionHeld(SerializationRetry):
    """Somebody changes the budgets of this organization, and the caller did not want to wait."""

    def __init__(self, organization_id: str) -> None:
        super().__init__()
        self.organization_id = organization_id


@contextmanager
def in_haste(session: WriteSession, usual_ms: int) -> Generator[None]:
    """Let the session wait `HASTE_MS` for each lock instead of `usual_ms`. Where it then fails with
    SerializationRetry it must end."""
    seconds, usual_seconds = math.ceil(HASTE_MS / 1_000), math.ceil(usual_ms / 1_000)
    if usual_ms <= HASTE_MS or session.kind is DatabaseKind.SQLITE:
        yield
    elif session.kind is DatabaseKind.POSTGRESQL:
        session.execute(text(f"SET LOCAL lock_timeout = {HASTE_MS}"))
        yield
    elif usual_seconds <= seconds:
        yield
    else:
        variable = "SET SESSION innodb_lock_wait_timeout"
        session.execute(text(f"{variable} = {seconds}"))
        try:
            yield
        finally:  # a connection that was lost has nothing to put back
            if not session.connection.invalidated:
                session.execute(text(f"{variable} = {usual_seconds}"))


def shared_version(session: WriteSession, organization_id: str, *, wait: bool = True) -> int:
    """The version of the organization's budgets, 0 before the first, kept from changing until the
    transaction ends. Raises VersionHeld when somebody else changes it now and `wait` is false."""
    if session.kind is DatabaseKind.SQLITE:
        found = session.driver.execute(_SELECT + "?", (organization_id,)).fetchone()
        return 0 if found is None else int(found[0])
    if session.kind is DatabaseKind.POSTGRESQL:
        return _locked_version(session, organization_id, wait=wait)
    query = select(_ROW.version).where(_ROW.organization_id == organization_id)
    query = query.with_for_update(read=True, nowait=not wait)
    try:
        version = session.scalar(query)
        if version is None:  # without a row there is nothing to hold
            _ensure(session, organization_id)
            version = session.scalar(query)
    except exc.DBAPIError as error:
        if wait or not isinstance(classify(error), SerializationRetry):
            raise
        raise VersionHeld(organization_id) from error
    return int(version)


def _locked_version(session: WriteSession, organization_id: str, *, wait: bool) -> int:
    """Lock, then look, in one round trip: in READ COMMITTED each of the two statements has its own
    view of the database, so that the second sees what was committed while the first waited."""
    from psycopg import ClientCursor

    with ClientCursor[Any](session.driver) as cursor:
        verb = "pg_advisory_xact_lock_shared" if wait else "pg_try_advisory_xact_lock_shared"
        lock = f"SELECT {verb}({_CLASS}, %s); {_SELECT}%s"
        cursor.execute(lock.encode(), (_number(organization_id), organization_id))
        taken = cursor.fetchone()
        if not wait and not (taken and taken[0]):
            raise VersionHeld(organization_id)
        cursor.nextset()
        found = cursor.fetchone()
    return 0 if found is None else int(found[0])


def seen_version(session: ReadSession, organization_id: str) -> int:
    """The version as it is, 0 before the first; nothing is locked."""
    found = session.scalar(select(_ROW.version).where(_ROW.organization_id == organization_id))
    return 0 if found is None else int(found)


def hold_alone(session: WriteSession, organization_id: str) -> None:
    """Keep everybody else from moving the organization's counters, and let them all read its
    budgets anew afterwards. Call it before anything else in the transaction."""
    if session.kind is DatabaseKind.POSTGRESQL:
        lock = f"SELECT pg_advisory_xact_lock({_CLASS}, {_number(organization_id)})"
        session.execute(text(lock))
    if not _grow(session, organization_id):
        # Not first: two that insert the same row hold it shared on MySQL, and then both want more.
        _ensure(session, organization_id)
        _grow(session, organization_id)


def _grow(session: WriteSession, organization_id: str) -> bool:
    grown = session.execute(
        update(spend_versions)
        .where(_ROW.organization_id == organization_id)
        .values(version=_ROW.version + 1)
    )
    return grown.rowcount > 0


def _ensure(session: WriteSession, organization_id: str) -> None:
    statement = insert_ignore(session.kind, spend_versions, ("organization_id",))
    session.execute(statement, {"organization_id": organization_id, "version": 0})


def _number(organization_id: str) -> int:
    """A signed 32-bit number of the organization; two that share one only wait for each other."""
    digest = blake2b(organization_id.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big", signed=True)
