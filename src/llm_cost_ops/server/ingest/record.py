"""One transaction of the ledger: append, roll up, enqueue, remember, all or nothing.

This is the only place where calls enter the ledger, whatever door they came through.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence

from llm_cost_ops.core.ids import batch_ids, batch_stem
from llm_cost_ops.core.pricing.structures import volume_metric
from llm_cost_ops.server.audit import record as audit
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.http import idempotency
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.identity.members import ensure_members
from llm_cost_ops.server.ingest.draft import PENDING_VOLUME, apply_quote
from llm_cost_ops.server.ingest.submission import (
    CONFLICT,
    CORRECTED,
    CREATED,
    DUPLICATE,
    Answer,
    Item,
    Submission,
)
from llm_cost_ops.server.ledger import correct, imports, rollup, store
from llm_cost_ops.server.ledger.append import Existing, append
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.ledger.volume import VolumeMeter
from llm_cost_ops.server.ledger.wire import usage_of
from llm_cost_ops.server.pricing.resolve import Prices, quote_of
from llm_cost_ops.server.queue.outbox import publish

CLIENT_ERROR = 400


class AtomicRefused(Exception):
    """An atomic submission met a conflict: roll back and give this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def record(
    session: WriteSession,
    submissions: Sequence[Submission],
    prices: Prices,
    *,
    now_us: int,
    keep_seconds: int,
) -> list[Answer | Problem]:
    """Commit the submissions in the caller's transaction; one answer each, in order.

    Raises AtomicRefused when the only submission is atomic and conflicts.
    """
    answers: dict[int, Answer | Problem] = {}
    fresh: list[int] = []
    saved = idempotency.lookup(session, [s.call.scope for s in submissions if s.call], now_us)
    for index, submission in enumerate(submissions):
        if submission.call and submission.call.scope in saved:
            answers[index] = _replayed(saved[submission.call.scope], submission.call)
        else:
            fresh.append(index)
    items = _append(session, [submissions[index] for index in fresh], prices, now_us)
    for index, fate in zip(fresh, items, strict=True):
        submission = submissions[index]
        answer = submission.render(fate)
        if submission.atomic and any(item.status == CONFLICT for item in fate):
            raise AtomicRefused(answer)
        if submission.call and answer.status < CLIENT_ERROR:
            idempotency.save(
                session, submission.call, answer.status, answer.body, now_us, keep_seconds
            )
        answers[index] = answer
    return [answers[index] for index in range(len(submissions))]


def _replayed(saved: idempotency.Saved, call: idempotency.IdempotentCall) -> Answer | Problem:
    try:
        response = idempotency.replay(saved, call)
    except Problem as problem:
        return problem
    return Answer(response.status_code, bytes(response.body), replayed=True)


def _append(
    session: WriteSession, submissions: Sequence[Submission], prices: Prices, now_us: int
) -> list[list[Item]]:
    fates = [[Item(entry) for entry in submission.entries] for submission in submissions]
    unique, first = _identify(fates, now_us)
    _price_by_volume(session, [item.entry for item in unique], prices)
    existing = append(session, [item.entry for item in unique])
    _settle_existing(session, unique, existing, submissions, fates, now_us)
    created = [item.entry for item in unique if item.status == CREATED]
    for item in unique:
        if item.status == CREATED:
            item.cost_e10, item.cost_status = item.entry.cost_e10, item.entry.cost_status
    _settle_repeats(fates, first)
    if created:
        rollup.apply(session, rollup.deltas_of(created))
        ensure_members(session, _members(created), now_us=now_us)
        prices.keep_cards(session, {e.price_version for e in created if e.price_version}, now_us)
    for submission, fate in zip(submissions, fates, strict=True):
        if len(fate) == 1 and fate[0].status == DUPLICATE:
            found = store.calls(session, submission.organization_id, [fate[0].id])
            fate[0].stored = found.get(fate[0].id)
        _announce(session, submission, fate, now_us)
        _count_import(session, submission, fate)
    return fates


def _price_by_volume(session: WriteSession, entries: Sequence[Entry], prices: Prices) -> None:
    meter: VolumeMeter | None = None
    for entry in entries:
        if entry.volume != PENDING_VOLUME or entry.price_version is None:
            continue
        meter = meter or VolumeMeter(session)
        compiled = prices.registry.by_version(entry.price_version)
        metric = volume_metric(compiled.card.structure)
        volume = meter.take(entry, str(metric))
        usage = usage_of(entry.mapping())
        rule = entry.price_rule or ""
        apply_quote(entry, quote_of(compiled, usage, entry.price_version, rule, volume))
        entry.volume = volume


def _identify(
    fates: Sequence[Sequence[Item]], now_us: int
) -> tuple[list[Item], dict[tuple[str, str, str], Item]]:
    """Give every entry an id; return the first item of each event id."""
    count = sum(len(fate) for fate in fates)
    ids = iter(batch_ids(batch_stem("usg", now_us // 1_000, secrets.randbits(60)), count))
    first: dict[tuple[str, str, str], Item] = {}
    unique: list[Item] = []
    for fate in fates:
        for item in fate:
            entry = item.entry
            item.id = entry.id = next(ids)
            item.status = CREATED
            if entry.event_id is None:
                entry.event_id = entry.id
            key = (entry.organization_id, entry.source, entry.event_id)
            if key not in first:
                first[key] = item
                unique.append(item)
    return unique, first


def _settle_existing(
    session: WriteSession,
    unique: Sequence[Item],
    existing: dict[int, Existing],
    submissions: Sequence[Submission],
    fates: Sequence[Sequence[Item]],
    now_us: int,
) -> None:
    """Same payload is a duplicate; another payload a conflict, or a correction where asked for."""
    by_organization: dict[str, list[Item]] = {}
    for position, found in existing.items():
        item = unique[position]
        item.id = found.id
        same = found.payload_digest == item.entry.payload_digest
        item.status = DUPLICATE if same else CONFLICT
        item.cost_e10, item.cost_status = found.cost_e10, found.cost_status
        by_organization.setdefault(item.entry.organization_id, []).append(item)
    correcting = len(submissions) == 1 and submissions[0].correct
    for organization_id, items in by_organization.items():
        _settle_corrected(session, organization_id, items, correcting=correcting)
        if correcting:
            _recount(session, organization_id, items, now_us)
    if existing:
        for submission, fate in zip(submissions, fates, strict=True):
            for item in fate:
                if item.status == CONFLICT:
                    _audit_conflict(session, item, submission, now_us)


def _settle_corrected(
    session: WriteSession, organization_id: str, items: Sequence[Item], *, correcting: bool
) -> None:
    """A call that was corrected is compared and shown as it stands now, not as it first was."""
    ids = [item.id for item in items]
    touched = list(store.corrections_of(session, organization_id, ids))
    calls = store.calls(session, organization_id, touched, for_update=correcting)
    for item in items:
        call = calls.get(item.id)
        if call is not None:
            same = call["payload_digest"] == item.entry.payload_digest
            item.status = DUPLICATE if same or item.status == DUPLICATE else CONFLICT
            item.cost_e10, item.cost_status = call["cost_e10"], call["cost_status"]


def _recount(
    session: WriteSession, organization_id: str, items: Sequence[Item], now_us: int
) -> None:
    """A growing log reports the same call with other counts: the last counts stand."""
    differing = {item.id: item for item in items if item.status == CONFLICT}
    calls = store.calls(session, organization_id, list(differing), for_update=True)
    changes: list[tuple[dict[str, object], Entry]] = []
    for record_id, call in calls.items():
        item = differing[record_id]
        item.status = CORRECTED
        item.cost_e10, item.cost_status = item.entry.cost_e10, item.entry.cost_status
        changes.append((call, item.entry))
    if changes:
        entry = items[0].entry
        occasion = correct.Occasion("recount", entry.import_id, entry.recorded_by, now_us)
        correct.recount(session, changes, occasion)


def _settle_repeats(
    fates: Sequence[Sequence[Item]], first: dict[tuple[str, str, str], Item]
) -> None:
    """An event id that came twice within this transaction is judged by its first appearance."""
    for fate in fates:
        for item in fate:
            entry = item.entry
            original = first[(entry.organization_id, entry.source, entry.event_id or "")]
            if original is not item:
                item.id = original.id
                item.cost_e10, item.cost_status = original.cost_e10, original.cost_status
                same = original.entry.payload_digest == entry.payload_digest
                item.status = DUPLICATE if same else CONFLICT


def _members(created: Sequence[Entry]) -> dict[str, tuple[set[str], set[str]]]:
    members: dict[str, tuple[set[str], set[str]]] = {}
    for entry in created:
        projects, users = members.setdefault(entry.organization_id, (set(), set()))
        if entry.project_id:
            projects.add(entry.project_id)
        if entry.user_id:
            users.add(entry.user_id)
    return members


def _count_import(session: WriteSession, submission: Submission, fate: Sequence[Item]) -> None:
    import_id = submission.entries[0].import_id if submission.entries else None
    if import_id is not None:
        counts = Counter(_COUNTER_OF[item.status] for item in fate)
        counts["records_failed"] += submission.invalid
        imports.count(session, import_id, counts)


_COUNTER_OF = {
    CREATED: "records_created",
    DUPLICATE: "records_duplicate",
    CORRECTED: "records_corrected",
    CONFLICT: "records_failed",
}


def _announce(
    session: WriteSession, submission: Submission, fate: Sequence[Item], now_us: int
) -> None:
    """One event per submission; its records are those with ids between the first and the last."""
    created = [item.id for item in fate if item.status == CREATED]
    if created:
        payload = {"first_id": created[0], "last_id": created[-1], "count": len(created)}
        publish(session, submission.organization_id, "usage.recorded", payload, now_us=now_us)


def _audit_conflict(session: WriteSession, item: Item, submission: Submission, now_us: int) -> None:
    audit.record(
        session,
        organization_id=submission.organization_id,
        actor_id=submission.recorded_by,
        action="usage.conflict",
        resource_type="usage",
        resource_id=item.id,
        after={"event_id": item.entry.event_id, "source": item.entry.source},
        request_id=submission.request_id,
        now_us=now_us,
    )
