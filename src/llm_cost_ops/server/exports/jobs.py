"""The work of exports for the worker: files made in the storage, and removed when their time is
over.

Each attempt writes under a key of its own and notes it before: so what an attempt left that died is
known and removed, and two attempts, of which one lost its lease, never write one file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import to_micros
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.pricing.book import PriceBook
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import PASSING
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.exports import store
from llm_cost_ops.server.exports.arrow import FilesMissing
from llm_cost_ops.server.exports.asked import Sources, Wanted
from llm_cost_ops.server.exports.books import as_booked
from llm_cost_ops.server.exports.orders import MAKE, completed, failed, wanted_again
from llm_cost_ops.server.exports.tally import Tally
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.pricing.resolve import price_book
from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.work import (
    Again,
    GiveUp,
    Kind,
    LeaseLost,
    Running,
    SystemSchedule,
    Work,
)
from llm_cost_ops.server.settings import Settings
from llm_cost_ops.server.storage.lazily import OnFirstUse
from llm_cost_ops.server.storage.storage import Storage, StorageUnavailable

SWEEP = Kind("exports.sweep", max_attempts=3, retry=exponential(first_s=10, most_s=60))
SWEPT = 200
PROGRESS_SECONDS = 1.0
LEFT_SECONDS = 24 * 3600
"""Age at which a half-written file is nobody's: a job ends long before."""
_DAY_US = 24 * 3600 * 1_000_000


class _Cancelled(Exception):
    """Nobody wants the export any more."""


def work(settings: Settings, database: Database, clock: Clock) -> Work:
    """The room's jobs."""
    kept = OnFirstUse(settings)

    def make(running: Running) -> None:
        _Making(running, settings, database, clock, kept).run()

    def sweep(running: Running) -> None:
        _swept(running, database, clock, kept.opened())
        before_us = clock.micros() - settings.export.keep_days * _DAY_US
        purge = partial(store.purge, before_us=before_us, limit=SWEPT)
        while running.write(purge) >= SWEPT:
            if running.stopping:
                raise Again("the worker stops", delay_s=0, counted=False)

    return Work(
        handlers={MAKE: make, SWEEP: sweep},
        buried={MAKE: lambda session, job, reason: failed(session, job, reason, clock.micros())},
        schedules=[SystemSchedule("exports.sweep", "*/10 * * * *", SWEEP)],
    )


class _Making:
    """One attempt at one export."""

    def __init__(
        self,
        running: Running,
        settings: Settings,
        database: Database,
        clock: Clock,
        kept: OnFirstUse,
    ) -> None:
        self._running = running
        self._settings = settings
        self._database = database
        self._clock = clock
        self._kept = kept
        self._organization_id = str(running.job.organization_id)
        self._export_id = str(running.job.payload["export_id"])
        self._key = f"exports/{self._organization_id}/{self._export_id}-{running.job.lease[:16]}"
        self._tally = Tally()
        self._digest = hashlib.sha256()
        self._bytes = 0

    def run(self) -> None:
        """Make the file and mark it as made. Raises Again, GiveUp and LeaseLost."""
        row = self._row()
        if row is None or row["status"] not in store.UNFINISHED:
            return
        try:
            storage = self._kept.opened()
            if row["file_key"] is not None:
                storage.delete(row["file_key"])
            self._make(row, storage)
        except (FilesMissing, StorageUnavailable) as error:
            if isinstance(error, FilesMissing):
                raise GiveUp(error.message) from None
            raise Again(error.message) from None
        except PASSING as trouble:
            raise Again(trouble.message) from None
        except Problem as refused:
            raise (Again if refused.status >= 500 else GiveUp)(refused.message) from None
        except DomainError as refused:  # of what was asked for: no attempt will read it otherwise
            raise GiveUp(refused.message) from None

    def _make(self, row: dict[str, Any], storage: Storage) -> None:
        wanted, at = wanted_again(row)
        wanted, name = as_booked(self._database, self._organization_id, wanted)
        sources = Sources(self._database, self._book, at.currency, name, to_micros(at.now))
        began = {
            "status": store.PROCESSING,
            "file_key": self._key,
            "started_at": self._clock.micros(),
            "rows_done": 0,
            "size_bytes": 0,
            "rows_expected": _expected(wanted, sources),
        }
        try:
            self._note(began, among=store.UNFINISHED)
            chunks = wanted.chunks(sources, self._tally)
            storage.put(self._key, self._watched(chunks))
            self._finish(row)
        except (_Cancelled, LeaseLost) as ended:
            with suppress(StorageUnavailable):
                storage.delete(self._key)
            if isinstance(ended, LeaseLost):
                raise

    def _book(self) -> PriceBook:
        return price_book(self._settings.pricing)

    def _watched(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The file's pieces, while what they come to is noted now and then."""
        noted_s = self._clock.monotonic()
        for chunk in chunks:
            self._digest.update(chunk)
            self._bytes += len(chunk)
            yield chunk
            if self._running.stopping:
                raise Again("the worker stops", delay_s=0, counted=False)
            now_s = self._clock.monotonic()
            if now_s - noted_s >= PROGRESS_SECONDS:
                noted_s = now_s
                self._note({"rows_done": self._tally.rows, "size_bytes": self._bytes})

    def _note(self, values: dict[str, Any], among: tuple[str, ...] = (store.PROCESSING,)) -> None:
        def write(session: WriteSession) -> bool:
            return store.change(
                session, self._organization_id, self._export_id, values, among=among
            )

        if not self._running.write(write):
            raise _Cancelled

    def _finish(self, row: dict[str, Any]) -> None:
        now_us = self._clock.micros()
        done = {
            "rows_done": self._tally.rows,
            "size_bytes": self._bytes,
            "sha256": self._digest.hexdigest(),
            "totals": dumps(self._tally.totals()),
            "expires_at": now_us + self._settings.export.retention_days * _DAY_US,
        }
        if not self._running.write(lambda session: completed(session, row, done, now_us)):
            raise _Cancelled

    def _row(self) -> dict[str, Any] | None:
        with read(self._database) as session:
            return store.row(session, self._organization_id, self._export_id)


def _expected(wanted: Wanted, sources: Sources) -> int | None:
    """An estimate for whoever waits: none that takes too long keeps a file from being made."""
    try:
        return wanted.expected(sources)
    except PASSING:
        return None


def _swept(running: Running, database: Database, clock: Clock, storage: Storage) -> None:
    """Mark what expired, then delete its file: whoever dies between the two is followed by another
    sweep, which finds the mark and the key."""
    while True:
        now_us = clock.micros()
        with read(database) as session:
            rows = store.swept(session, now_us, SWEPT)
        for row in rows:
            _end(running, row, storage)
        if len(rows) < SWEPT:
            break
        if running.stopping:
            raise Again("the worker stops", delay_s=0, counted=False)
    storage.tidy(clock.micros() / 1_000_000 - LEFT_SECONDS)


def _end(running: Running, row: dict[str, Any], storage: Storage) -> None:
    organization_id, export_id = row["organization_id"], row["id"]
    if row["status"] == store.COMPLETED:
        running.write(
            lambda session: store.change(
                session,
                organization_id,
                export_id,
                {"status": store.EXPIRED},
                among=(store.COMPLETED,),
            )
        )
    try:
        if row["file_key"] is not None:
            storage.delete(row["file_key"])
    except StorageUnavailable as error:
        raise Again(error.message) from None
    running.write(
        lambda session: store.change(
            session, organization_id, export_id, {"file_key": None}, among=store.ENDED
        )
    )
