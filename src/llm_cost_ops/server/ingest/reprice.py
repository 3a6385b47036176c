"""Prices that only the recording transaction can know: those that came after the draft was made,
and those that depend on the month's volume."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.pricing.rate import PRICED, CompiledRate
from llm_cost_ops.core.pricing.structures import volume_metric
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.ingest.draft import PENDING_VOLUME, apply_quote
from llm_cost_ops.server.ingest.submission import Submission
from llm_cost_ops.server.ledger.append import find_existing
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.ledger.volume import VolumeMeter
from llm_cost_ops.server.ledger.wire import usage_of
from llm_cost_ops.server.pricing import store
from llm_cost_ops.server.pricing.lock import take_turn, take_turns
from llm_cost_ops.server.pricing.resolve import OrganizationPrices, Prices, quote_of


class Repricing:
    """The prices of one transaction. Make it before the first row is written: it takes the turns
    of the organizations whose prices or corrections must not change meanwhile."""

    def __init__(
        self, session: WriteSession, submissions: Sequence[Submission], prices: Prices
    ) -> None:
        self._session = session
        self._prices = prices
        self._views: dict[str, OrganizationPrices] = {}
        waiting = [s for s in submissions if any(_waits(entry) for entry in s.entries)]
        correcting = {s.organization_id for s in submissions if s.correct}
        take_turns_for(session, (e for s in submissions for e in s.entries), correcting)
        for submission in waiting:
            if self._is_stale(submission):
                self._quote_again(submission)

    def view(self, organization_id: str) -> OrganizationPrices:
        """The organization's prices as this transaction sees them."""
        if organization_id not in self._views:
            self._views[organization_id] = self._prices.view_in(self._session, organization_id)
        return self._views[organization_id]

    def card(self, version: str) -> CompiledRate:
        """The card of a version that an entry was priced with."""
        for view in self._views.values():
            if view.quoted(version):
                return view.compiled(version)
        return self._prices.registry.by_version(version)

    def by_volume(self, entries: Sequence[Entry]) -> None:
        """Price the entries whose price depends on the month so far. Those that are recorded
        already do not count again."""
        pending = [entry for entry in entries if entry.volume == PENDING_VOLUME]
        if not pending:
            return
        known = find_existing(self._session, pending)
        meter = VolumeMeter(self._session)
        for place, entry in enumerate(pending):
            version, rule = entry.price_version or "", entry.price_rule or ""
            compiled = self.card(version)
            metric = str(volume_metric(compiled.card.structure))
            volume = meter.before(entry, metric)
            usage = usage_of(entry.mapping())
            apply_quote(entry, quote_of(compiled, usage, version, rule, volume))
            if place not in known:
                meter.add(entry, metric)

    def keep(self, versions: set[str], now_us: int) -> None:
        """Store the cards of these versions; once in the transaction."""
        self._prices.keep_cards(self._session, versions, now_us, self.card)

    def _is_stale(self, submission: Submission) -> bool:
        view = submission.prices
        return view is not None and view.stamp != store.stamp(
            self._session, submission.organization_id
        )

    def _quote_again(self, submission: Submission) -> None:
        """A price or deployment came after the draft: without this the calls would wait for the
        next one, because whoever set it could not see them yet."""
        view = self.view(submission.organization_id)
        for entry in submission.entries:
            if _waits(entry):
                quote = view.quote(
                    entry.provider,
                    entry.model_name,
                    from_micros(entry.timestamp),
                    usage_of(entry.mapping()),
                    service_tier=entry.service_tier,
                    processing=entry.processing,
                    region=entry.region,
                )
                apply_quote(entry, quote)
        if any(entry.volume == PENDING_VOLUME for entry in submission.entries):
            take_turn(self._session, submission.organization_id)


def take_turns_for(
    session: WriteSession, entries: Iterable[Entry], correcting: Iterable[str] = ()
) -> None:
    """The turns that recording these entries needs; alone those of `correcting` organizations and
    where the month's volume decides a price."""
    alone, shared = set(correcting), set[str]()
    for entry in entries:
        if entry.volume == PENDING_VOLUME:
            alone.add(entry.organization_id)
        if _waits(entry):
            shared.add(entry.organization_id)
    take_turns(session, alone, shared)


def _waits(entry: Entry) -> bool:
    return entry.cost_status != PRICED
