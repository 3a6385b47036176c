"""Which price applies to a call, for one organization, fast enough to ask for every call.

An organization's view is the public book with its own prices, discounts, deployments and custom
providers on top. It is read from the database at most once a second, so that a price set through
one server process is used by the others within a second.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from anyio import to_thread

from llm_cost_ops.core.errors import PriceNotFound, UsageError
from llm_cost_ops.core.pricing.book import PriceBook
from llm_cost_ops.core.pricing.card import Adjustment, RateCard
from llm_cost_ops.core.pricing.rate import PRICED, UNPRICED, CompiledRate
from llm_cost_ops.core.pricing.series import Priced
from llm_cost_ops.core.pricing.structures import volume_metric
from llm_cost_ops.core.providers.names import PROVIDERS, provider_id
from llm_cost_ops.core.usage import Quantity
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read
from llm_cost_ops.server.pricing import cards, store
from llm_cost_ops.server.settings import PricingSettings

FRESH_S = 1.0
MAX_MODELS = 20_000
DOCUMENTED_PROVIDERS = "must be one of: openai, anthropic, google, azure, aws, cohere, mistral"
CUSTOM_PROVIDER = "custom"


class Quote(NamedTuple):
    """What a call costs: money in 1e-10; cost None when there is no price for it.

    `volume` names the monthly volume that must be known first; then cost is None and provisional.
    `at_volume` is the one with which such a cost was computed.
    """

    status: str
    cost_e10: int | None = None
    list_cost_e10: int | None = None
    currency: str = "USD"
    version: str | None = None
    rule: str | None = None
    volume: str | None = None
    at_volume: int | None = None


NO_PRICE = Quote(UNPRICED)


def price_book(settings: PricingSettings) -> PriceBook:
    """The public book of the settings."""
    if settings.book_file is None:
        return PriceBook.packaged()
    return PriceBook.load(Path(settings.book_file).read_text(encoding="utf-8"))


class OrganizationPrices:
    """Prices as one organization sees them. Read-only; shared by threads."""

    def __init__(
        self,
        book: PriceBook,
        registry: CardRegistry,
        providers: Iterable[str] = (),
        stamp: store.Stamp | None = None,
    ) -> None:
        self.stamp = stamp
        self._book = book
        self._registry = registry
        self._providers = frozenset(providers)
        self._rates: dict[int, tuple[Priced, CompiledRate, str]] = {}
        self._provider_of: dict[str, str] = {}

    @property
    def book(self) -> PriceBook:
        """The public book with the organization's prices over it."""
        return self._book

    def compiled(self, version: str) -> CompiledRate:
        """A rate that this view quoted by its version id."""
        return self._registry.by_version(version)

    def quoted(self, version: str) -> bool:
        """Whether this view, or one that shares its registry, quoted a rate with this id."""
        return self._registry.knows(version)

    def provider(self, name: str) -> str:
        """The canonical provider id. Raises UsageError for an unknown, unregistered one."""
        known = provider_id(name)
        if known is not None:
            return known
        if name in self._providers or name == CUSTOM_PROVIDER:
            return name
        raise UsageError("provider", DOCUMENTED_PROVIDERS)

    def provider_of_model(self, model: str) -> str:
        """The provider that has a price for a model of this name, the first documented one in
        order, else `custom`."""
        found = self._provider_of.get(model)
        if found is None:
            selling = (p for p in PROVIDERS if self._book.resolve_series(p, model) is not None)
            found = next(selling, CUSTOM_PROVIDER)
            if len(self._provider_of) < MAX_MODELS:
                self._provider_of[model] = found
        return found

    def find(
        self,
        provider: str,
        model: str,
        at: datetime,
        *,
        service_tier: str = "standard",
        processing: str = "realtime",
        region: str | None = None,
    ) -> tuple[CompiledRate, str, str] | None:
        """(compiled rate, version id, matching rule) at a time, or None."""
        series = self._book.resolve_series(provider, model, service_tier, processing, region)
        priced = series.at(at) if series is not None else None
        if series is None or priced is None:
            return None
        known = self._rates.get(id(priced))
        if known is None or known[0] is not priced:
            known = (priced, *self._registry.compiled(*priced))
            if len(self._rates) < MAX_MODELS:
                self._rates[id(priced)] = known
        return known[1], known[2], series.rule

    def quote(
        self,
        provider: str,
        model: str,
        at: datetime,
        usage: Mapping[str, Quantity],
        *,
        service_tier: str = "standard",
        processing: str = "realtime",
        region: str | None = None,
        strict: bool = False,
    ) -> Quote:
        """What a call costs. Raises PriceNotFound in strict mode and UsageError."""
        found = self.find(
            provider, model, at, service_tier=service_tier, processing=processing, region=region
        )
        if found is None:
            if strict:
                raise PriceNotFound(provider, model, at.date())
            return NO_PRICE
        compiled, version, rule = found
        metric = volume_metric(compiled.card.structure)
        if metric is not None:
            return Quote(PRICED, None, None, compiled.card.currency, version, rule, metric)
        quote = quote_of(compiled, usage, version, rule)
        if strict and quote.status != PRICED:
            raise PriceNotFound(provider, model, at.date())
        return quote


def quote_of(
    compiled: CompiledRate,
    usage: Mapping[str, Quantity],
    version: str,
    rule: str,
    volume: int | None = None,
) -> Quote:
    """The quote of a known rate card, at a volume where its price depends on one."""
    reached = volume or 0
    status, cost, _missing = compiled.cost(usage, reached)
    listed = (
        compiled.list_cost(usage, reached) if cost is not None and compiled.has_contract else None
    )
    return Quote(status, cost, listed, compiled.card.currency, version, rule, None, volume)


class CardRegistry:
    """Compiled cards by version id, shared by all organizations of a process."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, ...], tuple[CompiledRate, str]] = {}
        self._by_version: dict[str, CompiledRate] = {}
        self._kept: set[str] = set()

    def compiled(
        self, card: RateCard, adjustments: tuple[Adjustment, ...]
    ) -> tuple[CompiledRate, str]:
        """The compiled card and its version id."""
        key = (card.id, *(a.id for a in adjustments)) if adjustments else (card.id,)
        found = self._compiled.get(key)
        if found is None:
            version = cards.version_id(card, adjustments)
            found = self._compiled[key] = (CompiledRate(card, adjustments), version)
            self._by_version[version] = found[0]
        return found

    def by_version(self, version: str) -> CompiledRate:
        """A card that this process has compiled. Raises KeyError otherwise."""
        return self._by_version[version]

    def knows(self, version: str) -> bool:
        """Whether a card of this version was compiled."""
        return version in self._by_version

    def unkept(self, versions: Iterable[str]) -> set[str]:
        """Versions that this process has not seen committed to `price_cards`."""
        return {version for version in versions if version not in self._kept}

    def mark_kept(self, versions: Iterable[str]) -> None:
        """Remember versions whose rows are committed."""
        self._kept.update(versions)


class Prices:
    """The price book and every organization's view of it."""

    def __init__(self, book: PriceBook, database: Database, clock: Clock) -> None:
        self.book = book
        self.registry = CardRegistry()
        self._database = database
        self._clock = clock
        self._views: dict[str, tuple[float, tuple[object, ...], OrganizationPrices]] = {}
        self._loading: dict[str, asyncio.Task[OrganizationPrices]] = {}
        self._forgotten: dict[str, int] = {}
        self._lock = threading.Lock()

    def fresh_view(self, organization_id: str) -> OrganizationPrices | None:
        """The view when it was read within the last second, without touching the database."""
        cached = self._views.get(organization_id)
        if cached is None or self._clock.monotonic() - cached[0] > FRESH_S:
            return None
        return cached[2]

    async def current(self, organization_id: str) -> OrganizationPrices:
        """The view, read again when older than a second: once, however many requests wait for it.

        Raises DatabaseUnavailable.
        """
        fresh = self.fresh_view(organization_id)
        if fresh is not None:
            return fresh
        task = self._loading.get(organization_id)
        if task is None:
            task = asyncio.ensure_future(to_thread.run_sync(self.view, organization_id))
            self._loading[organization_id] = task
            task.add_done_callback(partial(self._loaded, organization_id))
        return await asyncio.shield(task)

    def _loaded(self, organization_id: str, task: asyncio.Task[OrganizationPrices]) -> None:
        if self._loading.get(organization_id) is task:
            self._loading.pop(organization_id, None)  # `forget` may come first, from its thread
        if not task.cancelled():
            task.exception()  # those who wait are told; perhaps nobody waits any more

    def view(self, organization_id: str) -> OrganizationPrices:
        """The view, read again when older than a second. Raises DatabaseUnavailable."""
        fresh = self.fresh_view(organization_id)
        if fresh is not None:
            return fresh
        began_s, forgotten = self._clock.monotonic(), self._forgotten.get(organization_id, 0)
        with read(self._database) as session:
            loaded = store.load(session, organization_id)
        return self._share(organization_id, loaded, began_s, forgotten)

    def view_in(self, session: ReadSession, organization_id: str) -> OrganizationPrices:
        """The view as the given transaction sees it, kept from others: it may yet roll back, and
        its versions may then become other prices."""
        return self._build(store.load(session, organization_id), CardRegistry())

    def view_known_at(
        self, session: ReadSession, organization_id: str, known_at: datetime
    ) -> OrganizationPrices:
        """The view with what was recorded of the organization's prices until `known_at`."""
        loaded = store.load(session, organization_id, known_at=known_at)
        return self._build(loaded, CardRegistry())

    def _share(
        self, organization_id: str, loaded: store.Loaded, began_s: float, forgotten: int
    ) -> OrganizationPrices:
        """The view of a reading, for others too unless it was to be forgotten meanwhile."""
        with self._lock:
            cached = self._views.get(organization_id)
            if cached is not None and cached[1] == loaded.fingerprint:
                view = cached[2]
            else:
                view = self._build(loaded, self.registry)
            if self._forgotten.get(organization_id, 0) == forgotten:
                self._views[organization_id] = (began_s, loaded.fingerprint, view)
        return view

    def _build(self, loaded: store.Loaded, registry: CardRegistry) -> OrganizationPrices:
        book = self.book
        if loaded.operator_cards:
            book = book.with_overrides(loaded.operator_cards)
        if loaded.cards or loaded.discounts or loaded.deployments:
            book = book.with_overrides(loaded.cards, loaded.discounts, loaded.deployments)
        return OrganizationPrices(book, registry, loaded.providers, loaded.stamp)

    def forget(self, organization_id: str) -> None:
        """Read the organization's prices again at the next call, also when a reading is under way:
        it may have begun too early."""
        self._loading.pop(organization_id, None)
        with self._lock:
            self._forgotten[organization_id] = self._forgotten.get(organization_id, 0) + 1
            self._views.pop(organization_id, None)

    def keep_cards(
        self,
        session: WriteSession,
        versions: Iterable[str],
        now_us: int,
        find: Callable[[str], CompiledRate] | None = None,
    ) -> None:
        """Store the cards of these versions that are not stored yet. `find` gives the card of a
        version; without it this process has shared it.

        At most once in a transaction: only rows found before inserting are remembered as stored,
        because the transaction may still roll back.
        """
        unknown = self.registry.unkept(versions)
        if not unknown:
            return
        present = cards.present(session, unknown)
        self.registry.mark_kept(present)
        find = find or self.registry.by_version
        rows: list[tuple[str, str]] = []
        for version in unknown - present:
            compiled = find(version)
            rows.append((version, cards.card_text(compiled.card, compiled.adjustments)))
        cards.keep(session, rows, now_us)
