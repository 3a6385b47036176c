"""How long an organization keeps what, and removing what is older: archived first where it says so.

Nothing has a policy until somebody sets one. Sums are never removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.audit.forward import sinks_of
from llm_cost_ops.server.audit.purge import CLASSES
from llm_cost_ops.server.audit.purge import count_old as count_old_entries
from llm_cost_ops.server.audit.sign import Signer
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read
from llm_cost_ops.server.identity.tables import organizations
from llm_cost_ops.server.ledger.purge import count_before
from llm_cost_ops.server.privacy.archive import ArchiveFailed
from llm_cost_ops.server.privacy.keepers import (
    USAGE,
    AuditKeeper,
    Errand,
    Keeper,
    TableKeeper,
    UsageKeeper,
    Write,
    cut_us,
)
from llm_cost_ops.server.privacy.kept import BY_NAME, Due, count_old
from llm_cost_ops.server.privacy.tables import retention_archives, retention_policies
from llm_cost_ops.server.settings import Settings

DAY_US = 86_400_000_000
MOST_DAYS = 36_500
DEFAULT_DAYS = "data_retention_days"
NAMES = (*sorted((*BY_NAME, *CLASSES)), USAGE)
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
    inherited: bool = False
    """Whether it is what the organization's settings say."""


def policies(session: ReadSession, organization_id: str) -> list[Policy]:
    """One for each thing that may have one. Calls are kept as long as the organization's
    `data_retention_days` say where there is no policy of their own."""
    query = select(_ROW.kept, _ROW.days, _ROW.archives)
    found = session.execute(query.where(_ROW.organization_id == organization_id))
    by_name = {
        row["kept"]: Policy(row["kept"], int(row["days"]), bool(row["archives"]))
        for row in found.mappings()
    }
    usage = Policy(USAGE, _default_days(session, organization_id), True, inherited=True)
    if usage.days is not None:
        by_name.setdefault(USAGE, usage)
    return [by_name.get(name) or Policy(name, None, False) for name in NAMES]


def _default_days(session: ReadSession, organization_id: str) -> int | None:
    query = select(organizations.c.settings).where(organizations.c.id == organization_id)
    text = session.scalar(query)
    days = loads(text).get(DEFAULT_DAYS) if text else None
    return days if isinstance(days, int) else None


def set_policy(
    session: WriteSession, name: str, fields: Mapping[str, object], actor: Actor
) -> Policy:
    """Keep something for `days` days (None: for ever), archived before it is removed if `archive`.

    Raises PolicyUnknown, PolicyError naming the field.
    """
    if name not in NAMES:
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
        {**wire(policy), "due": _due(session, organization_id, policy, now_us)}
        for policy in policies(session, organization_id)
    ]


def _due(session: ReadSession, organization_id: str, policy: Policy, now_us: int) -> int:
    if policy.days is None:
        return 0
    due = Due(now_us - policy.days * DAY_US, now_us)
    if policy.kept == USAGE:
        return count_before(session, organization_id, cut_us(session, organization_id, due))
    if policy.kept in CLASSES:
        return count_old_entries(session, organization_id, policy.kept, due.before_us)
    return count_old(session, BY_NAME[policy.kept], organization_id, due.before_us)


def wire(policy: Policy) -> dict[str, Any]:
    return {
        "kept": policy.kept,
        "days": policy.days,
        "archive": policy.archives,
        "inherited": policy.inherited,
    }


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
    settings: Settings,
    now_us: int,
    write: Write,
) -> Iterator[Done]:
    """Remove what is older than its policy; `write` runs some work in a transaction of its own."""
    with read(database) as session:
        found = policies(session, organization_id)
    signer, sinks = Signer.of(settings), sinks_of(settings)
    directory = settings.retention.archive_directory
    for policy in found:
        if policy.days is None:
            continue
        due = Due(now_us - policy.days * DAY_US, now_us)
        errand = Errand(
            database, organization_id, due, write, directory, policy.archives, signer, sinks
        )
        keeper = _keeper(errand, policy.kept)
        try:
            keeper.go()
        except ArchiveFailed as error:
            yield Done(policy.kept, keeper.removed, tuple(keeper.files), error.message)
        else:
            yield Done(policy.kept, keeper.removed, tuple(keeper.files))


def _keeper(errand: Errand, name: str) -> Keeper:
    if name == USAGE:
        return UsageKeeper(errand, name)
    if name in CLASSES:
        return AuditKeeper(errand, name)
    return TableKeeper(errand, BY_NAME[name])


# lint: allow tenant-scope: the schedule goes through all organizations
def organizations_with_policies(session: ReadSession) -> list[str]:
    """Those that keep something for a time."""
    found = set(session.execute(select(_ROW.organization_id).distinct()).scalars())
    said = select(organizations.c.id, organizations.c.settings)
    for row in session.execute(said.where(organizations.c.settings.is_not(None))):
        if isinstance(loads(row.settings).get(DEFAULT_DAYS), int):
            found.add(row.id)
    return sorted(found)


def archives_of(
    session: ReadSession, organization_id: str, below: str | None, offset: int, limit: int
) -> list[dict[str, Any]]:
    """Archives, the newest first, with ids below one."""
    query = select(retention_archives).where(_ARCHIVE.organization_id == organization_id)
    if below is not None:
        query = query.where(_ARCHIVE.id < below)
    query = query.order_by(_ARCHIVE.id.desc()).offset(offset).limit(limit)
    return [dict(row) for row in session.execute(query).mappings()]
