"""The jobs of a run: its file is made once, then each destination gets it on its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.grants import Reach, conditions_wire
from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.core.period import Window, time_zone
from llm_cost_ops.server.analytics.request import home
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import PASSING
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read
from llm_cost_ops.server.delivery.channels import is_address
from llm_cost_ops.server.delivery.notice import Outcome
from llm_cost_ops.server.delivery.sealing import SecretUnreadable
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.identity.organizations import get_organization
from llm_cost_ops.server.queue.enqueue import NewJob, enqueue_all
from llm_cost_ops.server.queue.work import Again, Effect, GiveUp, Job, LeaseLost, Running
from llm_cost_ops.server.schedules import store
from llm_cost_ops.server.schedules.carry import Load, carry, destination_of
from llm_cost_ops.server.schedules.desk import ScheduleDesk, file_key
from llm_cost_ops.server.schedules.destinations import EMAIL, Destination
from llm_cost_ops.server.schedules.fire import pause
from llm_cost_ops.server.schedules.kinds import KINDS
from llm_cost_ops.server.schedules.message import Told, period_name, period_text
from llm_cost_ops.server.schedules.owner import Owner, acting
from llm_cost_ops.server.schedules.plan import stored_recurrence
from llm_cost_ops.server.schedules.produce import Made, demanded
from llm_cost_ops.server.schedules.settle import fail, settle
from llm_cost_ops.server.schedules.store import DELIVERED, DELIVERING, FAILED, PENDING, Row
from llm_cost_ops.server.schedules.window import window_of
from llm_cost_ops.server.schedules.work import DELIVER
from llm_cost_ops.server.storage.storage import StorageUnavailable

_TAIL = 8
_FORBIDDEN = 403


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a run is to make, with the permissions and the conditions of its owner."""

    made: Made
    window: Window
    zone: ZoneInfo
    needs: tuple[str, ...]
    reach: Reach


class Deliveries:
    """Carries out runs. What is outside the database is done outside any transaction, and may
    happen again after a crash: to the same place, under the same name."""

    def __init__(self, database: Database, desk: ScheduleDesk) -> None:
        self._database = database
        self._desk = desk

    def make(self, running: Running) -> Effect | None:
        """The handler of a run's job: its file, and a job for each destination."""
        organization_id, run_id = _names(running.job)
        now_us = self._desk.clock.micros()
        with read(self._database) as session:
            run = store.run(session, organization_id, run_id)
            if run is None or run["status"] not in (PENDING, FAILED) or run["file"] is not None:
                return None
            schedule = store.get(session, organization_id, run["schedule_id"])
            if schedule is None:
                raise GiveUp("the schedule was removed")
            found = self._asked(session, schedule, run)
        if isinstance(found, str):
            return partial(_paused, schedule, run, found, running.job.attempt, now_us)
        try:
            # Before the file: one that nobody could send is not made.
            parts = tuple(self._parts(schedule))
        except SecretUnreadable as error:
            raise GiveUp(f"the secrets cannot be read: {error}") from None
        try:
            self._keep(running, run, found, parts, now_us)
        except Problem as problem:
            raise _refused(problem) from None
        return None

    def _keep(
        self,
        running: Running,
        run: Row,
        asked: _Asked,
        parts: Sequence[Destination],
        now_us: int,
    ) -> None:
        """Write the file under this attempt's own key, and the run with it."""
        files, organization_id, run_id = self._desk.files, run["organization_id"], run["id"]
        if run["file_key"] is not None:
            running.write(lambda _: None)  # or it may be the one that another worker writes now
            files.delete(run["file_key"])
        key = file_key(organization_id, run_id, running.job.lease)
        note = {"file_key": key, "attempts": running.job.attempt}
        begin = partial(
            store.note_file, organization_id=organization_id, run_id=run_id, values=note
        )
        if not running.write(begin):
            return
        made, window = asked.made, asked.window
        name = f"{made.stem}-{period_name(window.start_us, window.end_us, asked.zone)}"
        counted = _Counted(made.chunks, running)
        try:
            files.put(key, iter(counted))
            file: dict[str, Any] = {
                "status": DELIVERING,
                "start_at": window.start_us,
                "end_at": window.end_us,
                "file": f"{name}-{run_id[-_TAIL:].lower()}{made.suffix}",
                "media_type": made.media_type,
                "size_bytes": counted.size,
                "sha256": counted.digest.hexdigest(),
                "expires_at": now_us + self._desk.keep_files_us,
                "facts": dumps(dict(made.facts())),
                "needs": ",".join(asked.needs),
                "reach": dumps([conditions_wire(scope) for scope in asked.reach.scopes]),
                "error": None,
            }
            # Not with the job's end: only so does an attempt hear that it lost its lease.
            running.write(partial(self._made, parts, run, file, now_us))
        except LeaseLost:
            with suppress(StorageUnavailable):
                files.delete(key)
            raise

    def _asked(self, session: ReadSession, schedule: Row, run: Row) -> _Asked | str:
        """What is to be made; or why its owner may not have it. Raises GiveUp."""
        producer = KINDS.get(schedule["kind"])
        if producer is None:
            raise GiveUp(f"{schedule['kind']} is not made by this release")
        owner = Owner(schedule["key_id"], schedule["user_id"])
        now_us = self._desk.clock.micros()
        organization_id = schedule["organization_id"]
        recurrence = stored_recurrence(loads(schedule["recurrence"]))
        slot_us = int(run["fire_at"])
        parameters = loads(schedule["parameters"])
        try:
            needs = demanded(producer, parameters)
            principal = acting(session, organization_id, owner, needs, now_us)
            if isinstance(principal, str):
                return principal
            zone = time_zone(recurrence.timezone)
            period = loads(schedule["recurrence"])["period"]
            window = window_of(period, slot_us, zone, recurrence.slots())
            at = home(session, principal, from_micros(slot_us))
            at = replace(at, time_zone=recurrence.timezone)
            made = producer.make(self._database, parameters, principal, at, window)
        except Problem as problem:
            if problem.status == _FORBIDDEN:
                return f"its owner may not: {problem.message}"
            raise _refused(problem) from None
        except PASSING as trouble:
            raise Again(trouble.message) from None
        except DomainError as error:
            raise GiveUp(error.message) from None
        return _Asked(made, window, zone, needs, principal.reach)

    def _made(
        self,
        parts: Sequence[Destination],
        run: Row,
        file: dict[str, Any],
        now_us: int,
        session: WriteSession,
    ) -> None:
        organization_id, run_id = run["organization_id"], run["id"]
        store.change_run(session, organization_id, run_id, file)
        rows: list[dict[str, Any]] = []
        for place, destination in enumerate(parts):
            part_id = store.new_id("dpt", now_us)
            secrets = destination.secrets
            sealed = self._desk.seal.seal(dumps(dict(secrets)), part_id) if secrets else None
            rows.append(
                {
                    "id": part_id,
                    "organization_id": organization_id,
                    "run_id": run_id,
                    "place": place,
                    "kind": destination.kind,
                    "target": dumps(dict(destination.fields)),
                    "secrets": sealed,
                    "state": PENDING,
                    "attempts": 0,
                    "detail": "",
                    "created_at": now_us,
                    "finished_at": None,
                }
            )
        store.add_parts(session, rows)
        jobs = [NewJob(DELIVER, {"part_id": row["id"]}, organization_id) for row in rows]
        enqueue_all(session, jobs, now_us=now_us)
        settle(session, organization_id, run_id, now_us)

    def _parts(self, schedule: Row) -> Iterator[Destination]:
        for each in stored_destinations(schedule, self._desk):
            for part in each.parts():
                # An address that was erased is a pseudonym now.
                if part.kind != EMAIL or is_address(part.fields["recipients"][0]):
                    yield part

    def deliver(self, running: Running) -> Effect | None:
        """The handler of one destination's job. One that failed for good comes again only where
        somebody replays its dead letter, and then it is sent."""
        job = running.job
        organization_id, part_id = job.organization_id or "", str(job.payload["part_id"])
        with read(self._database) as session:
            part = store.part(session, organization_id, part_id)
            if part is None or part["state"] not in (PENDING, FAILED):
                return None
            run = store.run(session, organization_id, part["run_id"])
            if run is None:
                return None
            load = self._load(session, run, part)
        outcome = load if isinstance(load, Outcome) else carry(load, self._desk)
        tried = int(part["attempts"]) + 1
        if outcome.delivered:
            return partial(self._ended, part, DELIVERED, outcome, tried)
        if outcome.final or job.attempt >= job.max_attempts:
            effect = partial(self._ended, part, FAILED, outcome, tried)
            raise GiveUp(outcome.detail, effect=effect)
        wait_s = outcome.retry_after_s
        if wait_s is not None:  # not less than our own, or all attempts are over within a minute
            wait_s = max(wait_s, DELIVER.retry(job.attempt, 0.0))
        effect = partial(self._tried, part, outcome, tried)
        raise Again(outcome.detail, delay_s=wait_s, effect=effect)

    def _load(self, session: ReadSession, run: Row, part: Row) -> Load | Outcome:
        organization_id = run["organization_id"]
        organization = get_organization(session, organization_id)
        schedule = store.get(session, organization_id, run["schedule_id"])
        if organization is None or schedule is None:
            return Outcome(False, "the schedule was removed", final=True)
        if run["expires_at"] is None or run["file"] is None:
            return Outcome(False, "the file is kept no longer", final=True)
        try:
            to = destination_of(part, self._desk)
        except SecretUnreadable as error:
            return Outcome(False, f"the secrets cannot be read: {error}", final=True)
        zone = ZoneInfo(loads(schedule["recurrence"])["timezone"])
        kept_until_us = int(run["expires_at"])
        link = self._desk.links.link(
            organization_id, run["id"],
            now_us=self._desk.clock.micros(), kept_until_us=kept_until_us,
        )  # fmt: skip
        told = Told(
            schedule=schedule["name"],
            organization=organization.name,
            run_id=run["id"],
            file=run["file"],
            size_bytes=int(run["size_bytes"]),
            period=period_text(int(run["start_at"]), int(run["end_at"]), zone),
            facts=loads(run["facts"]),
            zone=zone,
            link=None if link is None else link[0],
            link_until=None if link is None else link[1],
        )
        return Load(run, told, part["id"], to)

    def _ended(
        self, part: Row, state: str, outcome: Outcome, tried: int, session: WriteSession
    ) -> None:
        now_us = self._desk.clock.micros()
        values: dict[str, Any] = {
            "state": state,
            "attempts": tried,
            "detail": outcome.detail,
            "finished_at": now_us,
        }
        if state == DELIVERED:
            values["secrets"] = None
        store.change_part(session, part["organization_id"], part["id"], values)
        settle(session, part["organization_id"], part["run_id"], now_us)

    def _tried(self, part: Row, outcome: Outcome, tried: int, session: WriteSession) -> None:
        values = {"attempts": tried, "detail": outcome.detail}
        store.change_part(session, part["organization_id"], part["id"], values)

    def never_made(self, session: WriteSession, job: Job, reason: str) -> None:
        """What a run leaves behind whose job died."""
        organization_id, run_id = _names(job)
        run = store.lock_run(session, organization_id, run_id)
        if run is not None and run["status"] == PENDING:
            now_us = self._desk.clock.micros()
            fail(session, run, reason, now_us, attempts=job.attempt)

    def never_delivered(self, session: WriteSession, job: Job, reason: str) -> None:
        """The same of a delivery."""
        organization_id = job.organization_id or ""
        part = store.part(session, organization_id, str(job.payload["part_id"]))
        if part is not None and part["state"] == PENDING:
            self._ended(part, FAILED, Outcome(False, reason), int(part["attempts"]), session)


class _Counted:
    """Pieces that are counted and digested while they pass, until the worker stops."""

    def __init__(self, chunks: Iterator[bytes], running: Running) -> None:
        self._chunks = chunks
        self._running = running
        self.size = 0
        self.digest = sha256()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.size += len(chunk)
            self.digest.update(chunk)
            yield chunk
            if self._running.stopping:
                raise Again("the worker stops", delay_s=0, counted=False)


def stored_destinations(schedule: Row, desk: ScheduleDesk) -> list[Destination]:
    """The destinations of a schedule with their secrets. Raises SecretUnreadable."""
    sealed = schedule["secrets"]
    secrets: dict[str, Any] = (
        {} if sealed is None else loads(desk.seal.open(sealed, schedule["id"]))
    )
    found: list[Destination] = []
    for place, fields in enumerate(loads(schedule["destinations"])):
        kind = fields.pop("type")
        found.append(Destination(kind, fields, secrets.get(str(place), {})))
    return found


def _paused(
    schedule: Row, run: Row, reason: str, attempt: int, now_us: int, session: WriteSession
) -> None:
    organization_id = schedule["organization_id"]
    now = store.get(session, organization_id, schedule["id"], lock=True)
    # Of several runs that are caught up, the first one pauses it and tells its owner.
    known = now is None or (bool(now["paused"]) and now["paused_reason"] == reason)
    if not known:
        pause(session, schedule, reason, now_us)
    fail(session, run, reason, now_us, attempts=attempt, tell=not known)


def _names(job: Job) -> tuple[str, str]:
    return job.organization_id or "", str(job.payload["run_id"])


def _refused(problem: Problem) -> Exception:
    """Whether a refusal may be over later."""
    fields = "; ".join(f"{name} {text}" for name, text in problem.field_errors.items())
    reason = f"{problem.message} {fields}".strip()
    return Again(reason) if problem.status >= 500 else GiveUp(reason)
