"""What goes through one kind of rows of one organization: the ledger's days, the audit log, the
tables of `kept`. Each archives first where the policy says so, and removes afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from sqlalchemy import insert

from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.instant import from_micros, to_micros
from llm_cost_ops.server.audit import purge as audit
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.audit.forward import sent_until
from llm_cost_ops.server.audit.sign import Signer
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read, report
from llm_cost_ops.server.ledger import purge as ledger
from llm_cost_ops.server.ledger.closed import is_closed
from llm_cost_ops.server.ledger.verify import day_difference
from llm_cost_ops.server.privacy.archive import Archive, ArchiveFailed, write_archive
from llm_cost_ops.server.privacy.kept import Due, Kept, lines_of, old_ids, remove
from llm_cost_ops.server.privacy.tables import retention_archives

PAGE = 1_000
ATTEMPTS = 5
USAGE = "usage"
Write = Callable[[Callable[[WriteSession], int]], int]


@dataclass(frozen=True, slots=True)
class Errand:
    """What a keeper works with; `directory` None where nothing can be archived. `sinks` are the
    places that the audit log is sent to: what they do not have stays."""

    database: Database
    organization_id: str
    due: Due
    write: Write
    directory: str | None
    archives: bool
    signer: Signer
    sinks: tuple[str, ...] = ()


class Keeper:
    """Goes through one kind of rows of one organization."""

    def __init__(self, errand: Errand, name: str) -> None:
        self._errand = errand
        self._name = name
        self.removed = 0
        self.files: list[str] = []

    def go(self) -> None:
        """Raises ArchiveFailed, and then nothing more was removed."""
        raise NotImplementedError

    def _archived(self, rows: Iterable[Mapping[str, Any]]) -> tuple[str, Archive | None]:
        archive_id = single_id("arc", self._errand.due.now_us // 1_000, secrets.randbits(80))
        if not self._errand.archives:
            return archive_id, None
        return archive_id, write_archive(self._errand.directory, archive_id, rows)

    def _remove(
        self, archive_id: str, made: Archive | None, work: Callable[[WriteSession], int]
    ) -> None:
        """Note the archive and what was removed, in one transaction with that."""

        def done(session: WriteSession) -> int:
            gone = work(session)
            if made is not None:
                self._note(session, archive_id, made)
            actor = Actor(self._errand.organization_id, None, None, self._errand.due.now_us)
            after = {"rows": gone, "archive": made.name if made else None,
                     "sha256": made.sha256 if made else None}  # fmt: skip
            actor.record(session, audit.PURGE, "retention", self._name, None, after)
            return gone

        self.removed += self._errand.write(done)
        self.files += [made.name] if made else []

    def _note(self, session: WriteSession, archive_id: str, made: Archive) -> None:
        row = {
            "id": archive_id,
            "organization_id": self._errand.organization_id,
            "kept": self._name,
            "file": made.name,
            "sha256": made.sha256,
            "content_sha256": made.content_sha256,
            "row_count": made.rows,
            "size_bytes": made.bytes,
            "before_at": self._errand.due.before_us,
            "created_at": self._errand.due.now_us,
        }
        session.execute(insert(retention_archives), row)


class TableKeeper(Keeper):
    """Of a table of `kept`."""

    def __init__(self, errand: Errand, kept: Kept) -> None:
        super().__init__(errand, kept.name)
        self._kept = kept

    def go(self) -> None:
        after: str | None = ""
        organization_id, due = self._errand.organization_id, self._errand.due
        while after is not None:
            with read(self._errand.database) as session:
                ids, after = old_ids(session, self._kept, organization_id, due, after, PAGE)
                archives = self._errand.archives and ids
                lines = (
                    list(lines_of(session, self._kept, organization_id, ids)) if archives else []
                )
            if ids:
                self._page(ids, lines)

    def _page(self, ids: list[str], lines: list[dict[str, Any]]) -> None:
        archive_id, made = self._archived(lines)
        organization_id, before_us = self._errand.organization_id, self._errand.due.before_us
        self._remove(
            archive_id,
            made,
            lambda session: remove(session, self._kept, organization_id, before_us, ids),
        )


class AuditKeeper(Keeper):
    """Of one class of the audit log: whole entries, so that an archive proves its part of the
    chain."""

    def go(self) -> None:
        organization_id, due = self._errand.organization_id, self._errand.due
        after = 0
        while True:
            with read(self._errand.database) as session:
                sent = sent_until(session, organization_id, self._errand.sinks)
                rows = audit.old_entries(
                    session, organization_id, self._name, due.before_us, after, PAGE, sent
                )
            if rows:
                self._page(rows)
            if len(rows) < PAGE:
                return
            after = int(rows[-1]["seq"])

    def _page(self, rows: list[Mapping[str, Any]]) -> None:
        archive_id, made = self._archived({"table": "audit_log", "row": row} for row in rows)
        organization_id, now_us = self._errand.organization_id, self._errand.due.now_us
        signer = self._errand.signer
        try:
            self._remove(
                archive_id,
                made,
                lambda session: audit.remove_entries(
                    session, organization_id, rows, signer, now_us
                ),
            )
        except audit.NotAsWritten as found:
            raise ArchiveFailed(f"{found}: run audit verify") from None


class UsageKeeper(Keeper):
    """Of the ledger, a day at a time: closed with its archive in one transaction, and emptied in
    small ones. Who was stopped between goes on there."""

    def go(self) -> None:
        organization_id = self._errand.organization_id
        with read(self._errand.database) as session:
            left = ledger.days_to_remove(session, organization_id)
            until_us = cut_us(session, organization_id, self._errand.due)
            days = ledger.days_to_close(session, organization_id, until_us)
        for day in left:
            self._empty(day)
        for day in days:
            self._close(day)
            self._empty(day)

    def _close(self, day: int) -> None:
        for _ in range(ATTEMPTS):
            if self._closed(day):
                return
        raise ArchiveFailed("calls of an old day come in faster than they are archived")

    def _closed(self, day: int) -> bool:
        """False where calls or corrections came while the archive was written."""
        organization_id, now_us = self._errand.organization_id, self._errand.due.now_us
        with report(self._errand.database) as session:
            if is_closed(session, organization_id, day):
                return True
            if day_difference(session, organization_id, day) is not None:
                raise ArchiveFailed("the sums are not those of the calls: run verify")
            seen = ledger.seen(session, organization_id, day)
            archive_id, made = self._archived(ledger.lines_of_day(session, organization_id, day))
        kept_as = archive_id if made is not None else None

        def close(session: WriteSession) -> int:
            return ledger.close_day(session, organization_id, day, seen, kept_as, now_us=now_us)

        try:
            self._remove(archive_id, made, close)
        except ledger.DayChanged:
            return False
        except ledger.ClosedByOther:  # whose archive is the one that is noted
            return True
        except ledger.DayNeeded:  # it stays, until the month that corrects it is closed
            return True
        return True

    def _empty(self, day: int) -> None:
        organization_id = self._errand.organization_id

        def page(session: WriteSession) -> int:
            return ledger.remove_page(session, organization_id, day)

        while self._errand.write(page):
            pass


def cut_us(session: ReadSession, organization_id: str, due: Due) -> int:
    """Before when calls go: months as wholes, because prices may depend on the volume of a month,
    and none that a budget counts in the period under way."""
    at_us = due.before_us
    counted = ledger.counted_since_us(session, organization_id, due.now_us)
    if counted is not None:
        at_us = min(at_us, counted)
    first = (
        from_micros(at_us).astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    )
    return to_micros(first)
