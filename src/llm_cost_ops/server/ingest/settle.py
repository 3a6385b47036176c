"""What becomes of calls whose event id was there before, or came twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter

from llm_cost_ops.server.audit import record as audit
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.ingest.draft import apply_quote
from llm_cost_ops.server.ingest.reprice import Repricing
from llm_cost_ops.server.ingest.submission import (
    CLOSED,
    CONFLICT,
    CORRECTED,
    CREATED,
    DUPLICATE,
    Item,
    Submission,
)
from llm_cost_ops.server.ledger import correct, store
from llm_cost_ops.server.ledger.append import Existing
from llm_cost_ops.server.ledger.closed import closed_of
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.ledger.extremes import Extremes
from llm_cost_ops.server.ledger.requote import Requoting
from llm_cost_ops.server.ledger.rerate import MANUAL
from llm_cost_ops.server.ledger.rollup import DAY_US
from llm_cost_ops.server.ledger.wire import usage_of

MAX_AUDITED = 100
"""Conflicts of one request that get an audit entry each; one more names how many there were."""

EventKey = tuple[str, str, str]
_PLACE = itemgetter("timestamp", "id")


def settle_existing(
    session: WriteSession, unique: Sequence[Item], existing: Mapping[int, Existing]
) -> dict[str, list[Item]]:
    """Same payload is a duplicate, another payload a conflict; the items by organization.

    A call that was corrected is compared and shown as it stands now, too.
    """
    by_organization: dict[str, list[Item]] = {}
    for position, found in existing.items():
        item = unique[position]
        item.id = found.id
        item.digests = (found.payload_digest,)
        item.cost_e10, item.cost_status = found.cost_e10, found.cost_status
        by_organization.setdefault(item.entry.organization_id, []).append(item)
    for organization_id, items in by_organization.items():
        _settle_corrected(session, organization_id, items)
        for item in items:
            item.status = DUPLICATE if item.entry.payload_digest in item.digests else CONFLICT
    return by_organization


def _settle_corrected(session: WriteSession, organization_id: str, items: Sequence[Item]) -> None:
    ids = [item.id for item in items]
    touched = list(store.corrections_of(session, organization_id, ids))
    calls = store.known_calls(session, organization_id, touched)
    for item in items:
        call = calls.get(item.id)
        if call is not None:
            item.digests = (*item.digests, call["payload_digest"])
            item.cost_e10, item.cost_status = call["cost_e10"], call["cost_status"]


def recount(
    session: WriteSession,
    organization_id: str,
    items: Sequence[Item],
    repricing: Repricing,
    now_us: int,
    extremes: Extremes,
) -> None:
    """A growing log reports the same call with other counts: the last counts stand.

    Only counts grow: another provider or model under the same event id stays a conflict. A call
    that was taken back stays so, and one of a closed day that is not emptied yet takes no more.
    """
    differing = {item.id: item for item in items if item.status == CONFLICT}
    if not differing:
        return
    calls = store.known_calls(session, organization_id, list(differing))
    changes: list[tuple[dict[str, object], Entry]] = []
    requoting = Requoting(session, repricing.view(organization_id))
    closed = closed_of(session, organization_id)
    for call in sorted(calls.values(), key=_PLACE):
        item = differing[call["id"]]
        entry = item.entry
        if call["cost_status"] == store.VOIDED:
            item.status = DUPLICATE
        elif call["timestamp"] // DAY_US in closed:
            item.status = CLOSED
        elif (entry.provider, entry.model_name) == (call["provider"], call["model_name"]):
            if _says_the_same(call, entry):
                item.status = DUPLICATE
                continue
            if entry.price_rule != MANUAL:  # at the call's time, tier and place in the month
                apply_quote(entry, requoting.quote(call, usage_of(entry.mapping())))
            item.status = CORRECTED
            item.cost_e10, item.cost_status = entry.cost_e10, entry.cost_status
            changes.append((call, entry))
    if changes:
        entry = items[0].entry
        occasion = correct.Occasion("recount", entry.import_id, entry.recorded_by, now_us)
        correct.recount(session, changes, occasion, extremes)


def _says_the_same(call: Mapping[str, object], entry: Entry) -> bool:
    """Whether a cost that another installation counted is what stands here: an export that comes
    back to where it was made changes nothing, not even who priced the call."""
    row = entry.mapping()
    stated = entry.price_rule == MANUAL or entry.cost_e10 is None
    return (
        stated
        and all(call[name] == row[name] for name in ("cost_e10", "currency", "cost_status"))
        and all(call[name] == row[name] for name in store.ADDITIVE)
        and correct.list_cost(call) == correct.list_cost(row)
        and usage_of(call) == usage_of(row)
    )


def settle_repeats(
    fates: Sequence[Sequence[Item]], standing: Mapping[EventKey, Item], *, correcting: bool
) -> None:
    """An event id that came twice within this transaction is judged by the item that stands for
    it."""
    if len(standing) == sum(map(len, fates)):
        return  # each event id came once
    seen: set[EventKey] = set()
    for fate in fates:
        for item in fate:
            entry = item.entry
            key = (entry.organization_id, entry.source, entry.event_id or "")
            original = standing[key]
            if original is not item:
                item.id = original.id
                item.cost_e10, item.cost_status = original.cost_e10, original.cost_status
                item.status = _repeat_status(item, original, correcting=correcting)
                if correcting and key not in seen and original.status == CREATED:
                    item.status, original.status = original.status, item.status
                    item.entry = original.entry
            seen.add(key)


def _repeat_status(item: Item, original: Item, *, correcting: bool) -> str:
    if original.status == CLOSED:
        return CLOSED
    known = (*original.digests, original.entry.payload_digest)
    if correcting and original.status != CONFLICT:
        grown = item.entry.payload_digest not in known and original.status != DUPLICATE
        return CORRECTED if grown else DUPLICATE
    return DUPLICATE if item.entry.payload_digest in original.digests else CONFLICT


def audit_conflicts(
    session: WriteSession, submission: Submission, fate: Sequence[Item], now_us: int
) -> None:
    """Tell of payloads that were refused because their event id holds another."""
    conflicts = [item for item in fate if item.status == CONFLICT]
    for item in conflicts[:MAX_AUDITED]:
        event = {"event_id": item.entry.event_id, "source": item.entry.source}
        _audit(session, submission, item.id, event, now_us)
    if len(conflicts) > MAX_AUDITED:
        further = {"conflicts": len(conflicts), "listed": MAX_AUDITED}
        _audit(session, submission, conflicts[MAX_AUDITED].id, further, now_us)


def _audit(
    session: WriteSession,
    submission: Submission,
    record_id: str,
    after: Mapping[str, object],
    now_us: int,
) -> None:
    audit.record(
        session,
        organization_id=submission.organization_id,
        actor_id=submission.recorded_by,
        action="usage.conflict",
        resource_type="usage",
        resource_id=record_id,
        after=after,
        request_id=submission.request_id,
        now_us=now_us,
    )
