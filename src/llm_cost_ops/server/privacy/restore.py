"""Put the calls of an archived day back into the ledger, as they were. Their sums never left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import select

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.identity.restricted import forget_erased
from llm_cost_ops.server.ledger import purge as ledger
from llm_cost_ops.server.ledger.closed import closed_of
from llm_cost_ops.server.ledger.rollup import DAY_US
from llm_cost_ops.server.privacy.archive import ArchiveFailed, read_archive
from llm_cost_ops.server.privacy.keepers import PAGE, USAGE, Write
from llm_cost_ops.server.privacy.tables import retention_archives

_ROW = retention_archives.c


class ArchiveUnknown(DomainError):
    """The organization has no archive of calls of this id, or its day is not closed."""

    code = "NOT_FOUND"


@dataclass(frozen=True, slots=True)
class Restored:
    """The day, and how many rows its archive has."""

    day: str
    rows: int


def restore(
    database: Database,
    organization_id: str,
    archive_id: str,
    directory: str | None,
    now_us: int,
    write: Write,
) -> Restored:
    """Store the rows of an archive again and open their day. Until the last of them is there the
    day stays closed, so this may be interrupted and run again; a second time it changes nothing.
    Who was erased since does not come back: such calls have no user any more.

    Raises ArchiveUnknown, SentAgain where a call of the archive was recorded again as one of
    another time, and ArchiveFailed for a file that is not what was written or whose rows do not add
    up to the sums that stayed.
    """
    row, day = _found(database, organization_id, archive_id)
    count = 0
    for lines in _pages(read_archive(directory, row["file"], row["sha256"])):
        count += len(lines)

        def put_back(session: WriteSession, page: list[dict[str, Any]] = lines) -> int:
            forget_erased(session, organization_id, (line["row"] for line in page))
            ledger.put_back(session, organization_id, page)
            return 0

        write(put_back)

    def reopen(session: WriteSession) -> int:
        if ledger.reopen_day(session, organization_id, day, now_us) is not None:
            raise ArchiveFailed("the rows do not add up to the sums of the day")
        actor = Actor(organization_id, None, None, now_us)
        after = {"archive": row["file"], "rows": count}
        actor.record(session, "retention.restore", "retention", USAGE, None, after)
        return 0

    write(reopen)
    return Restored(from_micros(day * DAY_US).date().isoformat(), count)


def _found(database: Database, organization_id: str, archive_id: str) -> tuple[Any, int]:
    query = select(_ROW.file, _ROW.sha256).where(
        _ROW.organization_id == organization_id, _ROW.id == archive_id, _ROW.kept == USAGE
    )
    with read(database) as session:
        row = session.execute(query).mappings().first()
        closed = closed_of(session, organization_id).values()
    days = [each.day for each in closed if each.archive_id == archive_id]
    if row is None or not days:
        raise ArchiveUnknown("There is no archive of calls of a closed day with this id")
    return row, days[0]


def _pages(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    each = iter(rows)
    while page := list(islice(each, PAGE)):
        yield page
