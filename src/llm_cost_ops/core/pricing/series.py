"""A card series: the cards of one model in one context through time, ready for dated lookups."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from llm_cost_ops.core.pricing.card import Adjustment, RateCard, TimeWindow
from llm_cost_ops.core.pricing.regions import AdjustmentRule

Priced = tuple[RateCard, tuple[Adjustment, ...]]
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_MAX_ZONES = 64
_zones: dict[str, ZoneInfo] = {}


@dataclass(frozen=True, slots=True)
class Layer:
    """Cards of one origin and the rules that may adjust them. Earlier layers win over later."""

    cards: tuple[RateCard, ...]
    rules: tuple[AdjustmentRule, ...]


class CardSeries:
    """`at` answers which card and adjustments price a call at an instant.

    The same (card, adjustments) tuple is returned for the same answer, so callers may cache by its
    identity for as long as they hold the series. `label` is a given region that is none of the
    provider's, so that it took no part.
    """

    __slots__ = (
        "_bounds",
        "_options",
        "_single",
        "_windowed",
        "label",
        "model",
        "provider",
        "rule",
    )

    def __init__(
        self,
        provider: str,
        model: str,
        rule: str,
        layers: Sequence[Layer],
        label: str | None = None,
    ) -> None:
        self.provider = provider
        self.model = model
        self.rule = rule
        self.label = label
        self._bounds = _bounds(layers)
        known: dict[tuple[int, tuple[str, ...]], Priced] = {}
        self._options = [_options(layers, start, known) for start in (_BEGINNING, *self._bounds)]
        self._windowed = [any(o[0].windows for o in options) for options in self._options]
        only = self._options[0]
        plain = len(only) == 1 and not only[0][0].windows
        self._single = only[0] if not self._bounds and plain else None

    @property
    def is_steady(self) -> bool:
        """Whether `at` has one answer for ever."""
        return self._single is not None

    def span(self, instant: datetime) -> int | None:
        """Which stretch of time this is: `at` has one answer in each. None where daily windows
        change it."""
        index = bisect_right(self._bounds, instant)
        return None if self._windowed[index] else index

    def at(self, instant: datetime) -> Priced | None:
        """The card and adjustments for an aware instant, or None when nothing is valid then."""
        if self._single is not None:
            return self._single
        for option in self._options[bisect_right(self._bounds, instant)]:
            windows = option[0].windows
            if not windows or any(in_window(window, instant) for window in windows):
                return option
        return None

    def cards(self) -> tuple[RateCard, ...]:
        """Every card that can be the answer at some time, in order of appearance."""
        seen: dict[str, RateCard] = {}
        for options in self._options:
            for card, _ in options:
                seen.setdefault(card.id, card)
        return tuple(seen.values())


def in_window(window: TimeWindow, instant: datetime) -> bool:
    """Whether the instant's local weekday and minute lie in the window."""
    local = instant.astimezone(_zone(window.time_zone))
    minute = local.hour * 60 + local.minute
    return window.start_minute <= minute < window.end_minute and local.weekday() in window.weekdays


def _zone(name: str) -> ZoneInfo:
    zone = _zones.get(name)
    if zone is None:
        if len(_zones) >= _MAX_ZONES:
            _zones.clear()
        zone = _zones[name] = ZoneInfo(name)
    return zone


def _bounds(layers: Sequence[Layer]) -> list[datetime]:
    dated = [item for layer in layers for item in (*layer.cards, *layer.rules)]
    edges = {edge for item in dated for edge in (item.valid_from, item.valid_to) if edge}
    return sorted(edges)


def _options(
    layers: Sequence[Layer],
    start: datetime,
    known: dict[tuple[int, tuple[str, ...]], Priced],
) -> tuple[Priced, ...]:
    """The cards to try from `start` to the next bound: windowed ones before the plain one."""
    options: list[Priced] = []
    for layer in layers:
        live = sorted((c for c in layer.cards if _covers(c, start)), key=_recency, reverse=True)
        adjustments = tuple(r.adjustment for r in layer.rules if r.active(start))
        names = tuple(adjustment.id for adjustment in adjustments)
        plain = [card for card in live if not card.windows][:1]
        for card in (*(card for card in live if card.windows), *plain):
            options.append(known.setdefault((id(card), names), (card, adjustments)))
        if plain:
            break
    return tuple(options)


def _covers(card: RateCard, at: datetime) -> bool:
    return (card.valid_from is None or card.valid_from <= at) and (
        card.valid_to is None or at < card.valid_to
    )


def _recency(card: RateCard) -> tuple[datetime, datetime]:
    """A price that begins later replaces an open-ended earlier one; then what was learnt later."""
    return (card.valid_from or _BEGINNING, card.recorded_at or _BEGINNING)
