"""How long an organization keeps what, and removing what is older: archived first where it says so.

Nothing has a policy until somebody sets one. The ledger, its rollups and the audit log are kept.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import delete, insert, select

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read
from llm_cost_ops.server.privacy.archive import Archive, ArchiveFailed, write_archive
from llm_cost_ops.server.privacy.kept import (
    BY_NAME,
    KEPT,
    Due,
    Kept,
    count_old,
    lines_of,
    old_ids,
    remove,
)
from llm_cost_ops.server.privacy.tables import retention_archives, retention_policies

DAY_US = 86_400_000_000
MOST_DAYS = 36_500
PAGE = 1_000
T = TypeVar("T")
_ROW = retention_policies.c
_ARCHIVE = retention_archives.c
_FIELDS = {"days", "archive"}


class PolicyError(DomainError):
    """A policy that cannot be."""


class PolicyUnknown(DomainError):
    """There is nothing of this name to keep."""

    code = "NOT_FOUND"


@dataclass(frozen=True, slots=True)
class Policy:
    """`days` None: for ever."""

    kept: str
    days: int | None
    archives: bool


def policies(session: ReadSession, organization_id: str) -> list[Policy]:
    """One for each thing that may have one."""
    query = select(_ROW.kept, _ROW.days, _ROW.archives)
    found = session.execute(query.where(_ROW.organization_id == organization_id))
    by_name = {row["kept"]: row for row in found.mappings()}
    return [
        Policy(kept.name, int(row["days"]), bool(row["archives"]))
        if (row := by_name.get(kept.name)) is not None
        else Policy(kept.name, None, False)
        for kept in KEPT
    ]


def set_policy(
    session: WriteSession, name: str, fields: Mapping[str, object], actor: Actor
) -> Policy:
    """Keep something for `days` days (None: for ever), archived before it is removed if `archive`.

    Raises PolicyUnknown, PolicyError naming the field.
    """
    if name not in BY_NAME:
        raise PolicyUnknown(f"There is no retention of {name!r}")
    for field in fields:
        if field not in _FIELDS:
            raise PolicyError("is not a known field", field=field)
    days, archives = fields.get("days"), fields.get("archive", True)
    if "days" not in fields:
        raise PolicyError("is required; null keeps for ever", field="days")
    fits = isinstance(days, int) and not isinstance(days, bool) and 1 <= days <= MOST_DAYS
    if days is not None and not fits:
        raise PolicyError(f"must be a whole number from 1 to {MOST_DAYS}, or null", field="days")
    if not isinstance(archives, bool):
        raise PolicyError("must be true or false", field="archive")
    before = next(p for p in policies(session, actor.organization_id) if p.kept == name)
    mine = (_ROW.organization_id == actor.organization_id, _ROW.kept == name)
    session.execute(delete(retention_policies).where(*mine))
    made = Policy(name, None, False)
    if isinstance(days, int):
        made = Policy(name, days, archives)
        row = {
            "organization_id": actor.organization_id,
            "kept": name,
            "days": days,
            "archives": int(archives),
            "updated_at": actor.now_us,
            "updated_by": actor.actor_id,
        }
        session.execute(insert(retention_policies), row)
    told = ({"days": p.days, "archive": p.archives} for p in (before, made))
    actor.record(session, "retention.update", "retention", name, *told)
    return made


def preview(session: ReadSession, organization_id: str, now_us: int) -> list[dict[str, Any]]:
    """Each policy and how many rows are older now."""
    return [
        {
            **wire(policy),
            "due": 0
            if policy.days is None
            else count_old(
                session, BY_NAME[policy.kept], organization_id, now_us - policy.days * DAY_US
            ),
        }
        for policy in policies(session, organization_id)
    ]


def wire(policy: Policy) -> dict[str, Any]:
    return {"kept": policy.kept, "days": policy.days, "archive": policy.archives}


Write = Callable[[Callable[[WriteSession], int]], int]


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one policy: rows removed, archives made; `failed` is why not all."""

    kept: str
    removed: int
    archives: tuple[str, ...]
    failed: str | None = None


def run(
    database: Database,
    organization_id: str,
    directory: str | None,
    now_us: int,
    write: Write,
) -> Iterator[Done]:
    """Remove what is older than its policy; `write` runs some work in a transaction of its own."""
    with read(database) as session:
        found = policies(session, organization_id)
    for policy in found:
        if policy.days is None:
            continue
        due = Due(now_us - policy.days * DAY_US, now_us)
        keeper = _Keeper(database, organization_id, BY_NAME[policy.kept], due, write)
        try:
            keeper.go(directory, archives=policy.archives)
        except ArchiveFailed as error:
            yield Done(policy.kept, keeper.removed, tuple(keeper.files), error.message)
        else:
            yield Done(policy.kept, keeper.removed, tuple(keeper.files))


class _Keeper:
    """Goes through one kind of rows of one organization."""

    def __init__(
        self, database: Database, organization_id: str, kept: Kept, due: Due, write: Write
    ) -> None:
        self._database = database
        self._organization_id = organization_id
        self._kept = kept
        self._due = due
        self._write = write
        self.removed = 0
        self.files: list[str] = []

    def go(self, directory: str | None, *, archives: bool) -> None:
        after: str | None = ""
        while after is not None:
            with read(self._database) as session:
                ids, after = old_ids(
                    session, self._kept, self._organization_id, self._due, after, PAGE
                )
                lines = (
                    list(lines_of(session, self._kept, self._organization_id, ids))
                    if archives and ids
                    else []
                )
            if ids:
                self._page(directory if archives else None, ids, lines, archives=archives)

    def _page(
        self, directory: str | None, ids: list[str], lines: Sequence[Any], *, archives: bool
    ) -> None:
        archive_id = single_id("arc", self._due.now_us // 1_000, secrets.randbits(80))
        made = write_archive(directory, archive_id, lines) if archives else None

        def work(session: WriteSession) -> int:
            if made is not None:
                self._note(session, archive_id, made)
            gone = remove(session, self._kept, self._organization_id, self._due.before_us, ids)
            actor = Actor(self._organization_id, None, None, self._due.now_us)
            after = {"rows": gone, "archive": made.name if made else None,
                     "sha256": made.sha256 if made else None}  # fmt: skip
            actor.record(session, "retention.purge", "retention", self._kept.name, None, after)
            return gone

        self.removed += self._write(work)
        self.files += [made.name] if made else []

    def _note(self, session: WriteSession, archive_id: str, made: Archive) -> None:
        row = {
            "id": archive_id,
            "organization_id": self._organization_id,
            "kept": self._kept.name,
            "file": made.name,
            "sha256": made.sha256,
            "content_sha256": made.content_sha256,
            "row_count": made.rows,
            "size_bytes": made.bytes,
            "before_at": self._due.before_us,
            "created_at": self._due.now_us,
        }
        session.execute(insert(retention_archives), row)


# lint: allow tenant-scope: the schedule goes through all organizations
def organizations_with_policies(session: ReadSession) -> list[str]:
    """Those that keep something for a time."""
    query = select(_ROW.organization_id).distinct().order_by(_ROW.organization_id)
    return [str(one) for one in session.execute(query).scalars()]


def archives_of(
    session: ReadSession, organization_id: str, below: str | None, offset: int, limit: int
) -> list[dict[str, Any]]:
    """Archives, the newest first, with ids below one."""
    query = select(retention_archives).where(_ARCHIVE.organization_id == organization_id)
    if below is not None:
        query = query.where(_ARCHIVE.id < below)
    query = query.order_by(_ARCHIVE.id.desc()).offset(offset).limit(limit)
    return [dict(row) for row in session.execute(query).mappings()]
