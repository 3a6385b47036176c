"""Make, change, pause, resume, run and remove schedules; each change is audited, no secret is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.grants import EVERYWHERE, Reach, parse_conditions
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.core.period import time_zone
from llm_cost_ops.core.permissions import normalise
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.alerts.fields import Fields
from llm_cost_ops.server.analytics.request import Home
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.delivery.target import Guard, TargetRefused
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.schedules import store
from llm_cost_ops.server.schedules.desk import ScheduleDesk
from llm_cost_ops.server.schedules.destinations import (
    FOLDER,
    Destination,
    DestinationError,
    read_destinations,
)
from llm_cost_ops.server.schedules.fire import add_run
from llm_cost_ops.server.schedules.folder import FolderRefused, root_of
from llm_cost_ops.server.schedules.kinds import DEFAULT_TYPES, EXPORT, KINDS
from llm_cost_ops.server.schedules.owner import Owner, acting, is_own, owner_of
from llm_cost_ops.server.schedules.plan import (
    CATCH_UP,
    LATEST,
    PlanError,
    Recurrence,
    read_recurrence,
    stored_recurrence,
)
from llm_cost_ops.server.schedules.produce import Producer, demanded
from llm_cost_ops.server.schedules.store import REQUESTED, Row
from llm_cost_ops.server.schedules.window import DEFAULTS, window_of

MAX_SCHEDULES = 200
MAX_PARAMETERS = 16_000
MAX_UNFINISHED = 10
"""Runs of one schedule that may wait when somebody asks for another one."""
RETRY_SECONDS = 60
_WHEN = ("frequency", "time", "day", "cron", "timezone")
_OWN = ("name", "what", "period", "catch_up", "paused", "delivery", "destinations", "parameters")
_TO = ("delivery", "destinations")


class ScheduleUnknown(DomainError):
    """No schedule, or no run, of the organization has this id."""

    code = "NOT_FOUND"


class ScheduleConflict(DomainError):
    """Not possible in the state in which the schedule is, or there are too many."""

    code = "CONFLICT"


@dataclass(frozen=True, slots=True)
class Given:
    """A schedule as somebody described it. `destinations` is None where they stay as they are."""

    name: str
    kind: str
    parameters: dict[str, Any]
    recurrence: Recurrence
    period: str
    catch_up: str
    paused: bool
    destinations: tuple[Destination, ...] | None

    @property
    def producer(self) -> Producer:
        return KINDS[self.kind]


def read_given(
    body: Mapping[str, object], at: Home, now_us: int, before: Row | None = None, kind: str = EXPORT
) -> Given:
    """A description, or a change of the schedule `before`. Raises DomainError naming the field."""
    own = {name: value for name, value in body.items() if name in (*_OWN, *_WHEN)}
    fields = Fields({name: value for name, value in own.items() if name not in (*_TO, "day")})
    named = fields.text("name")
    kind = fields.choice("what", tuple(KINDS)) or (before["kind"] if before else kind)
    parameters: dict[str, Any] = {} if before is None else loads(before["parameters"])
    parameters |= fields.mapping("parameters") or {}
    parameters |= {name: value for name, value in body.items() if name not in own}
    parameters = {name: value for name, value in parameters.items() if value is not None}
    if len(dumps(parameters)) > MAX_PARAMETERS:
        raise PlanError(f"must be at most {MAX_PARAMETERS} characters", field="parameters")
    recurrence, period = _when(fields, own, at, now_us, before)
    catch_up = fields.choice("catch_up", CATCH_UP)
    paused = fields.flag("paused", default=bool(before and before["paused"]))
    fields.finish()
    to = [own[name] for name in _TO if own.get(name) is not None]
    if before is None and not to:
        raise DestinationError("is required", field="delivery")
    return Given(
        named or (before["name"] if before else _named(kind, parameters, recurrence)),
        kind,
        parameters,
        recurrence,
        period,
        catch_up or (before["catch_up"] if before else LATEST),
        bool(paused),
        read_destinations(to[0]) if to else None,
    )


def _when(
    fields: Fields, own: Mapping[str, object], at: Home, now_us: int, before: Row | None
) -> tuple[Recurrence, str]:
    kept: dict[str, Any] = {} if before is None else loads(before["recurrence"])
    period = fields.text("period", most=64)
    given = {name: fields.text(name) for name in ("frequency", "time", "cron", "timezone")}
    if any(name in own for name in _WHEN):
        # A part that another frequency does not have is not carried over to it.
        same = given["frequency"] in (None, kept.get("frequency")) and not (
            given["cron"] and kept.get("cron") is None
        )
        base = kept if same else {"timezone": kept.get("timezone")}
        chosen = {name: value or base.get(name) for name, value in given.items()}
        zone = chosen["timezone"] or at.time_zone
        recurrence = read_recurrence(
            chosen["frequency"],
            time_zone(zone).key,
            time_of_day=chosen["time"],
            day=own.get("day") if own.get("day") is not None else base.get("day"),
            cron=chosen["cron"],
            now_us=now_us,
        )
    elif before is None:
        raise PlanError("is required, or cron", field="frequency")
    else:
        recurrence = stored_recurrence(kept)
    if period is None:
        changed = recurrence.frequency != kept.get("frequency")
        period = DEFAULTS[recurrence.frequency] if changed else kept["period"]
    plan = recurrence.slots()
    window_of(str(period), plan.next_after(now_us), time_zone(recurrence.timezone), plan)
    return recurrence, str(period)


def _named(kind: str, parameters: Mapping[str, Any], recurrence: Recurrence) -> str:
    what = str(parameters.get("type") or DEFAULT_TYPES[kind])
    return f"{what[:100]}, {recurrence.frequency}"


def check(given: Given, principal: Principal, at: Home, desk: ScheduleDesk) -> None:
    """Raises Problem and DomainError for what could not be made, or not delivered."""
    _demand(principal, [normalise(scope) for scope in given.producer.permissions])
    owner_of(principal)
    zone = given.recurrence.timezone
    given.producer.check(given.parameters, principal, replace(at, time_zone=zone))
    for each in given.destinations or ():
        if each.kind == FOLDER:
            try:
                root_of(each.fields.get("root"), desk.folders)
            except FolderRefused as refused:
                raise DestinationError(str(refused), field="delivery.root") from None


def _demand(principal: Principal, wanted: Sequence[str]) -> None:
    missing = ", ".join(principal.missing(wanted))
    if missing:
        raise Problem(403, "INSUFFICIENT_PERMISSIONS", f"Insufficient permissions: {missing}")


def examine(given: Given, guard: Guard) -> None:
    """Look up the names of given addresses, outside any transaction. Raises DestinationError."""
    for each in given.destinations or ():
        url = each.url()
        if url is not None:
            try:
                guard.examine(url)
            except TargetRefused as refused:
                name = "endpoint" if "endpoint" in each.fields else "url"
                raise DestinationError(str(refused), field=f"delivery.{name}") from None


def create(
    session: WriteSession, given: Given, principal: Principal, desk: ScheduleDesk, actor: Actor
) -> Row:
    """The new schedule. Raises ScheduleConflict, NoSecretKey."""
    organization_id = actor.organization_id
    if store.count(session, organization_id) >= MAX_SCHEDULES:
        raise ScheduleConflict(f"An organization has at most {MAX_SCHEDULES} schedules.")
    schedule_id = store.new_id("dsc", actor.now_us)
    row = {
        "id": schedule_id,
        "organization_id": organization_id,
        **_columns(schedule_id, given, principal, desk, actor.now_us),
        "created_at": actor.now_us,
        "created_by": actor.actor_id,
        "version": 0,
    }
    store.add(session, row)
    made = found(session, organization_id, schedule_id)
    actor.record(session, "schedules.create", "schedule", schedule_id, None, facts(made))
    return made


def update(
    session: WriteSession,
    schedule_id: str,
    body: Mapping[str, object],
    principal: Principal,
    at: Home,
    desk: ScheduleDesk,
    actor: Actor,
) -> Row:
    """Change what is named; the schedule is the caller's from then on. Raises DomainError."""
    before = own_schedule(session, principal, schedule_id, lock=True)
    given = read_given(body, at, actor.now_us, before)
    check(given, principal, at, desk)
    values = _columns(schedule_id, given, principal, desk, actor.now_us)
    if bool(before["paused"]) == given.paused:
        values.pop("paused_reason")
        if given.recurrence == stored_recurrence(loads(before["recurrence"])):
            values.pop("next_fire_at")  # or what is due, or to be caught up, would be lost
    store.change(session, actor.organization_id, schedule_id, values)
    after = found(session, actor.organization_id, schedule_id)
    actor.record(session, "schedules.update", "schedule", schedule_id, facts(before), facts(after))
    return after


def _columns(
    schedule_id: str, given: Given, principal: Principal, desk: ScheduleDesk, now_us: int
) -> dict[str, Any]:
    owner = owner_of(principal)
    values: dict[str, Any] = {
        "name": given.name,
        "kind": given.kind,
        "parameters": dumps(given.parameters),
        "recurrence": dumps({**given.recurrence.stored(), "period": given.period}),
        "catch_up": given.catch_up,
        "paused": int(given.paused),
        "paused_reason": None,
        "next_fire_at": None if given.paused else given.recurrence.slots().next_after(now_us),
        "key_id": owner.key_id,
        "user_id": owner.user_id,
        "updated_at": now_us,
    }
    if given.destinations is not None:
        secrets = {str(n): dict(d.secrets) for n, d in enumerate(given.destinations) if d.secrets}
        values["destinations"] = dumps(
            [{"type": each.kind, **each.fields} for each in given.destinations]
        )
        values["secrets"] = desk.seal.seal(dumps(secrets), schedule_id) if secrets else None
    return values


def found(session: ReadSession, organization_id: str, schedule_id: str) -> Row:
    """A schedule. Raises ScheduleUnknown."""
    row = store.get(session, organization_id, schedule_id)
    if row is None:
        raise ScheduleUnknown("Schedule not found")
    return row


def own_schedule(
    session: ReadSession, principal: Principal, schedule_id: str, *, lock: bool = False
) -> Row:
    """A schedule that the caller may see: who is limited by conditions sees only own ones, because
    another one's files may hold more. Raises ScheduleUnknown."""
    row = store.get(session, principal.organization_id, schedule_id, lock=lock)
    if row is None or not sees(principal, row):
        raise ScheduleUnknown("Schedule not found")
    return row


def sees(principal: Principal, schedule: Row) -> bool:
    """Whether the caller may see a schedule."""
    owner = Owner(schedule["key_id"], schedule["user_id"])
    return principal.reach.is_everything or is_own(principal, owner)


def pause(session: WriteSession, principal: Principal, schedule_id: str, actor: Actor) -> Row:
    """Let it rest. One that rests already stays as it is."""
    before = own_schedule(session, principal, schedule_id, lock=True)
    if not before["paused"]:
        values = {"paused": 1, "paused_reason": None, "next_fire_at": None}
        store.change(session, actor.organization_id, schedule_id, values)
        actor.record(session, "schedules.pause", "schedule", schedule_id, None, None)
    return found(session, actor.organization_id, schedule_id)


def resume(session: WriteSession, principal: Principal, schedule_id: str, actor: Actor) -> Row:
    """Go on with the next slot: what fell into the pause is not made up for. One whose owner may no
    longer is the caller's from then on."""
    before = own_schedule(session, principal, schedule_id, lock=True)
    if before["paused"]:
        plan = stored_recurrence(loads(before["recurrence"])).slots()
        values: dict[str, Any] = {
            "paused": 0,
            "paused_reason": None,
            "next_fire_at": plan.next_after(actor.now_us),
        }
        owner = Owner(before["key_id"], before["user_id"])
        needed = demanded(KINDS[before["kind"]], loads(before["parameters"]))
        still = acting(session, actor.organization_id, owner, needed, actor.now_us)
        if isinstance(still, str):
            mine = owner_of(principal)
            values |= {"key_id": mine.key_id, "user_id": mine.user_id}
        store.change(session, actor.organization_id, schedule_id, values)
        after = found(session, actor.organization_id, schedule_id)
        told = (facts(before), facts(after))  # it may have another owner now
        actor.record(session, "schedules.resume", "schedule", schedule_id, *told)
    return found(session, actor.organization_id, schedule_id)


def run_now(session: WriteSession, principal: Principal, schedule_id: str, actor: Actor) -> Row:
    """A run of now beside those of the schedule, also of one that rests. Raises
    ScheduleConflict, Problem 403 for who could not make its file, 429 while many wait."""
    schedule = own_schedule(session, principal, schedule_id, lock=True)
    _demand(principal, demanded(KINDS[schedule["kind"]], loads(schedule["parameters"])))
    if store.unfinished(session, actor.organization_id, schedule_id) >= MAX_UNFINISHED:
        text = f"{MAX_UNFINISHED} runs of the schedule are not over yet."
        headers = {"Retry-After": str(RETRY_SECONDS)}
        raise Problem(429, "RATE_LIMIT_EXCEEDED", text, headers=headers)
    run_id = add_run(session, schedule, actor.now_us, REQUESTED, actor.now_us)
    if run_id is None:
        raise ScheduleConflict("The schedule runs at this very moment already.")
    actor.record(session, "schedules.run", "schedule", schedule_id, None, {"run_id": run_id})
    return own_run(session, principal, run_id)[0]


def remove(session: WriteSession, principal: Principal, schedule_id: str, actor: Actor) -> None:
    """Remove it; its runs and their files stay as long as others'."""
    before = own_schedule(session, principal, schedule_id, lock=True)
    store.remove(session, actor.organization_id, schedule_id)
    actor.record(session, "schedules.delete", "schedule", schedule_id, facts(before), None)


def is_read(principal: Principal, run: Row, schedule: Row | None) -> bool:
    """Whether the caller may see what is in the file of a run: who holds what it took to make it,
    and reaches all that it was made of. So who owns the schedule sees no more than may be seen now.
    """
    seen = principal.reach.is_everything if schedule is None else sees(principal, schedule)
    if not seen or run["file"] is None:
        return seen
    if run["reach"] is None:  # made by a release that did not note it
        if schedule is None or schedule["kind"] not in KINDS:
            return seen
        needs = demanded(KINDS[schedule["kind"]], loads(schedule["parameters"]))
        made = EVERYWHERE
    else:
        needs = tuple(filter(None, str(run["needs"]).split(",")))
        made = Reach(tuple(parse_conditions(each) for each in loads(run["reach"])))
    if principal.missing(needs):
        return False
    held = principal.reach.narrowed(principal.reach_of(needs))
    return held.is_everything or all(held.covers(scope) for scope in made.scopes)


def own_run(session: ReadSession, principal: Principal, run_id: str) -> tuple[Row, Row | None]:
    """A run that the caller may see, and its schedule. Raises ScheduleUnknown."""
    run = store.run(session, principal.organization_id, run_id)
    if run is None:
        raise ScheduleUnknown("Run not found")
    schedule = store.get(session, principal.organization_id, run["schedule_id"])
    if not is_read(principal, run, schedule):
        raise ScheduleUnknown("Run not found")
    return run, schedule


def facts(row: Row) -> dict[str, object]:
    """What the audit log keeps of a schedule: destinations without their secrets."""
    return {
        "name": row["name"],
        "what": row["kind"],
        "parameters": loads(row["parameters"]),
        "recurrence": loads(row["recurrence"]),
        "destinations": loads(row["destinations"]),
        "catch_up": row["catch_up"],
        "paused": bool(row["paused"]),
        "owner": row["user_id"] or row["key_id"],
    }
