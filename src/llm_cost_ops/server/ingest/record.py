"""One transaction of the ledger: append, roll up, enqueue, remember, all or nothing.

This is the only place where calls enter the ledger, whatever door they came through.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.ids import batch_ids, batch_stem
from llm_cost_ops.server.db.remembered import ChangedMeanwhile
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.http import idempotency
from llm_cost_ops.server.http.problems import Problem, problem_of
from llm_cost_ops.server.identity.members import ensure_members
from llm_cost_ops.server.identity.restricted import LISTED, Judged, Named, hide
from llm_cost_ops.server.ingest.logged import log_calls
from llm_cost_ops.server.ingest.reprice import Repricing
from llm_cost_ops.server.ingest.settle import (
    EventKey,
    audit_conflicts,
    recount,
    settle_existing,
    settle_repeats,
)
from llm_cost_ops.server.ingest.submission import (
    CLOSED,
    CONFLICT,
    CORRECTED,
    CREATED,
    DUPLICATE,
    Answer,
    Item,
    Submission,
)
from llm_cost_ops.server.ledger import imports, rollup, store
from llm_cost_ops.server.ledger.append import append
from llm_cost_ops.server.ledger.closed import DAYS
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.ledger.extremes import Extremes
from llm_cost_ops.server.ledger.late import note_late_calls
from llm_cost_ops.server.ledger.rollup import DAY_US
from llm_cost_ops.server.ledger.teams import note_uncounted
from llm_cost_ops.server.ledger.told import RECORDED
from llm_cost_ops.server.pricing.resolve import Prices
from llm_cost_ops.server.queue.outbox import Event, publish
from llm_cost_ops.server.spend.move import Moves

CLIENT_ERROR = 400


class AtomicRefused(Exception):
    """An atomic submission met a conflict: roll back and give this answer."""

    def __init__(self, answer: Answer, fate: Sequence[Item]) -> None:
        super().__init__(answer.status)
        self.answer = answer
        self.fate = fate


def record(
    session: WriteSession,
    submissions: Sequence[Submission],
    prices: Prices,
    *,
    now_us: int,
    keep_seconds: int,
    moves: Moves | None = None,
) -> list[Answer | Problem]:
    """Commit the submissions in the caller's transaction; one answer each, in order. `moves` are
    settled last but for the cards.

    Raises AtomicRefused when the only submission is atomic and conflicts, ChangedMeanwhile.
    """
    answers: dict[int, Answer | Problem] = {}
    fresh: list[int] = []
    saved = idempotency.lookup(session, [s.call.scope for s in submissions if s.call], now_us)
    for index, submission in enumerate(submissions):
        if submission.call and submission.call.scope in saved:
            answers[index] = _replayed(saved[submission.call.scope], submission.call)
        else:
            fresh.append(index)
    judged: Judged = {}
    entries = chain.from_iterable(submissions[index].entries for index in fresh)
    hidden = hide(session, entries, judged)
    repricing = Repricing(session, [submissions[index] for index in fresh], prices)
    refused = _claim_imports(session, [submissions[index] for index in fresh])
    answers.update((fresh[place], problem) for place, problem in refused.items())
    fresh = [index for index in fresh if index not in answers]
    late = Extremes(moves)
    appended = _append(session, [submissions[index] for index in fresh], repricing, late, now_us)
    for index, fate in zip(fresh, appended.fates, strict=True):
        submission = submissions[index]
        answer = submission.render(fate)
        if submission.atomic and any(item.status in (CONFLICT, CLOSED) for item in fate):
            raise AtomicRefused(answer, fate)
        log_calls(session, submission, fate, now_us)
        if submission.call and fate and answer.status < CLIENT_ERROR:
            idempotency.save(
                session, submission.call, answer.status, answer.body, now_us, keep_seconds
            )
        answers[index] = answer
    # The rollups late, because everybody adds to the same few rows and waits for who has them; then
    # budgets, then cards, as re-rating has it. Members come before all of them, so that no two wait
    # for each other.
    if appended.created:
        versions = late.moves.add_calls(session, appended.created, now_us)
        _confirm(session, judged, appended.closed, versions, hidden)
        note_late_calls(session, appended.created, versions)
        note_uncounted(session, appended.created)
        rollup.apply(session, rollup.deltas_of(appended.created))
    late.settle(session)
    repricing.keep(appended.versions, now_us)
    return [answers[index] for index in range(len(submissions))]


def _confirm(
    session: WriteSession,
    judged: Judged,
    closed: Mapping[str, frozenset[int]],
    versions: Mapping[str, int],
    hidden: Sequence[tuple[Named, str]],
) -> None:
    """Whether the calls may be committed as they were judged. Raises ChangedMeanwhile."""
    try:
        LISTED.confirm(session, judged, versions)
        DAYS.confirm(session, closed, versions)
    except ChangedMeanwhile:
        for entry, user_id in hidden:  # the entries are those of the next attempt
            entry.user_id = user_id
        raise


def _replayed(saved: idempotency.Saved, call: idempotency.IdempotentCall) -> Answer | Problem:
    try:
        response = idempotency.replay(saved, call)
    except Problem as problem:
        return problem
    return Answer(response.status_code, bytes(response.body), replayed=True)


def _claim_imports(session: WriteSession, submissions: Sequence[Submission]) -> dict[int, Problem]:
    """Keep the imports from being undone; submissions that name none of ours are refused."""
    refused: dict[int, Problem] = {}
    named = sorted((s.import_id, place) for place, s in enumerate(submissions) if s.import_id)
    for import_id, place in named:
        try:
            imports.claim(session, submissions[place].organization_id, import_id)
        except DomainError as error:
            refused[place] = problem_of(error, "POST")
    return refused


class _Appended(NamedTuple):
    """The fate of each entry; the new ones, which are not in the rollups yet; the versions of the
    prices of all that was written; the days that were taken to be closed, by organization."""

    fates: list[list[Item]]
    created: list[Entry]
    versions: set[str]
    closed: dict[str, frozenset[int]]


def _append(
    session: WriteSession,
    submissions: Sequence[Submission],
    repricing: Repricing,
    late: Extremes,
    now_us: int,
) -> _Appended:
    correcting = len(submissions) == 1 and submissions[0].correct
    fates = [[Item(entry) for entry in submission.entries] for submission in submissions]
    closed, open_fates = _open(session, fates)
    unique, standing = _identify(open_fates, now_us, last=correcting)
    repricing.by_volume([item.entry for item in unique])
    existing = append(session, [item.entry for item in unique])
    new = [item.entry for place, item in enumerate(unique) if place not in existing]
    ensure_members(session, _members(new), now_us=now_us)
    for organization_id, items in settle_existing(session, unique, existing).items():
        if correcting:
            recount(session, organization_id, items, repricing, now_us, late)
    for item in unique:
        if item.status == CREATED:
            item.digests = (item.entry.payload_digest,)
            item.cost_e10, item.cost_status = item.entry.cost_e10, item.entry.cost_status
    written = [item.entry for item in unique if item.status in (CREATED, CORRECTED)]
    versions = {entry.price_version for entry in written if entry.price_version}
    settle_repeats(open_fates, standing, correcting=correcting)
    for submission, fate in zip(submissions, fates, strict=True):
        _show_stored(session, submission, fate)
        _count_import(session, submission, fate)
        audit_conflicts(session, submission, fate, now_us)
    publish(session, _announcements(fates), now_us=now_us)
    return _Appended(fates, new, versions, closed)


def _open(
    session: WriteSession, fates: list[list[Item]]
) -> tuple[dict[str, frozenset[int]], list[list[Item]]]:
    """The closed days of the organizations, and the fates without what falls into those."""
    closed: dict[str, frozenset[int]] = {}
    any_closed = False
    for item in chain.from_iterable(fates):
        entry = item.entry
        days = closed.get(entry.organization_id)
        if days is None:
            days = closed[entry.organization_id] = DAYS.get(session, entry.organization_id)
        if days and entry.timestamp // DAY_US in days:
            item.status, any_closed = CLOSED, True
    if not any_closed:
        return closed, fates
    return closed, [[item for item in fate if item.status != CLOSED] for fate in fates]


def _identify(
    fates: Sequence[Sequence[Item]], now_us: int, *, last: bool
) -> tuple[list[Item], dict[EventKey, Item]]:
    """Give every entry an id; of each event id the first item, or the last one, is to be stored."""
    count = sum(len(fate) for fate in fates)
    ids = iter(batch_ids(batch_stem("usg", now_us // 1_000, secrets.randbits(60)), count))
    standing: dict[EventKey, Item] = {}
    for fate in fates:
        for item in fate:
            entry = item.entry
            item.id = entry.id = next(ids)
            item.status = CREATED
            if entry.event_id is None:
                entry.event_id = entry.id
            key = (entry.organization_id, entry.source, entry.event_id)
            if last:
                standing.pop(key, None)
            standing.setdefault(key, item)
    return list(standing.values()), standing


def _show_stored(session: WriteSession, submission: Submission, fate: Sequence[Item]) -> None:
    """Answers that show rows show what is stored, not what was sent."""
    if len(fate) != 1 and not submission.shows_rows:
        return
    known = [item.id for item in fate if item.status in (DUPLICATE, CORRECTED)]
    if known:
        stored = store.known_calls(session, submission.organization_id, known)
        for item in fate:
            item.stored = stored.get(item.id) if item.status != CREATED else None


def _members(created: Sequence[Entry]) -> dict[str, tuple[set[str], set[str]]]:
    projects = {(entry.organization_id, entry.project_id) for entry in created}
    users = {(entry.organization_id, entry.user_id) for entry in created}
    members: dict[str, tuple[set[str], set[str]]] = {}
    for place, named in enumerate((projects, users)):
        for organization_id, member_id in named:
            known = members.setdefault(organization_id, (set(), set()))
            if member_id:
                known[place].add(member_id)
    return members


def _count_import(session: WriteSession, submission: Submission, fate: Sequence[Item]) -> None:
    if submission.import_id is not None:
        counts = Counter(_COUNTER_OF[item.status] for item in fate)
        counts["records_failed"] += submission.invalid
        imports.count(session, submission.import_id, counts)


_COUNTER_OF = {
    CREATED: "records_created",
    DUPLICATE: "records_duplicate",
    CORRECTED: "records_corrected",
    CONFLICT: "records_failed",
    CLOSED: "records_failed",
}


def _announcements(fates: Sequence[Sequence[Item]]) -> Iterator[Event]:
    """One event per organization; its records are those of the organization with ids between the
    first and the last."""
    created: dict[str, list[str]] = {}
    for item in chain.from_iterable(fates):
        if item.status == CREATED:
            created.setdefault(item.entry.organization_id, []).append(item.id)
    for organization_id, ids in created.items():
        payload = {"first_id": min(ids), "last_id": max(ids), "count": len(ids)}
        yield Event(organization_id, RECORDED, payload)
