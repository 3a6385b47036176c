"""Calls as a FOCUS dataset: each call's usage on the card that rated it, added up by charge period,
and the charges that are no calls.

Calls are read in the order of time: what is added up is written when the charge period is over, or
when its groups are many, so that memory holds a page of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby, islice
from typing import Any, cast

from llm_cost_ops.core.focus.calls import FocusCall, reversal_of
from llm_cost_ops.core.focus.columns import DATETIME, DECIMAL, columns_of
from llm_cost_ops.core.focus.columns import JSON as JSON_TYPE
from llm_cost_ops.core.focus.commitments import Drawn
from llm_cost_ops.core.focus.groups import pages_of_values
from llm_cost_ops.core.focus.labels import key_values
from llm_cost_ops.core.focus.periods import charge_period
from llm_cost_ops.core.focus.rows import Row, Values, row_of, values_of_call
from llm_cost_ops.core.focus.sku import context_tier
from llm_cost_ops.core.focus.text import csv_lines_of_pages, values_in
from llm_cost_ops.core.months import window_of
from llm_cost_ops.core.pricing.card import RateCard
from llm_cost_ops.core.pricing.rate import CompiledRate
from llm_cost_ops.core.usage import total_input_tokens
from llm_cost_ops.server.analytics.pages import COLUMNS, Order
from llm_cost_ops.server.analytics.restated import Restated, restated_calls
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.analytics.stream import call_batches
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.exports.charges import Charges, Dataset, paid
from llm_cost_ops.server.exports.columns import Column, Exported, Kind
from llm_cost_ops.server.exports.labels import UNNAMED, Labels, labels_of, own_cost_center
from llm_cost_ops.server.ledger.wire import stored_json, usage_of
from llm_cost_ops.server.pricing.cards import stored_card

LINES = 1_000
_NO_CARD = CompiledRate(RateCard("", "", "", {}), ())
_KINDS = {DECIMAL: Kind.NUMBER, DATETIME: Kind.INSTANT, JSON_TYPE: Kind.JSON}


@dataclass(frozen=True, slots=True)
class Focus:
    """Which dataset: the version of the specification, and whether its charge periods are hours or
    days. Groups keep what they share of tags, users and credentials."""

    version: str = "1.2"
    grain: str = "hour"


def focus_rows(
    database: Database,
    selection: Selection,
    focus: Focus,
    organization_name: str | None,
    now_us: int,
) -> Iterator[list[Row]]:
    """The pages of `focus_pages` with rows by the names of their columns."""
    for page in focus_pages(database, selection, focus, organization_name, now_us):
        yield list(map(row_of, page))


def focus_pages(
    database: Database,
    selection: Selection,
    focus: Focus,
    organization_name: str | None,
    now_us: int,
    month: str | None = None,
    *,
    named: bool = True,
) -> Iterator[list[Values]]:
    """The rows of a selection, charge period by charge period; of a `month` corrections of calls
    of earlier months, whose billing period is that month, then those that its books have. Not
    `named`: with ids in the place of names, which change."""
    labels = labels_of(database, selection.organization_id) if named else UNNAMED
    known = _Known(_Cards(database), labels, organization_name)
    dataset = Dataset(selection, month, focus.grain, organization_name, now_us)
    charges = Charges(database, dataset)
    if month is not None:  # first, because they are of earlier charge periods: files are by time
        if early := charges.until(window_of(month).start_us - 1):
            yield early
        for restated in restated_calls(database, selection, month):
            corrections = _corrections(restated, known, charges, month)
            yield from _by_charge_period(corrections, focus)
    calls = (
        (_focus_call(call, known), charges.drawn(call))
        for batch in call_batches(database, selection, Order(), month=month)
        for call in (dict(zip(COLUMNS, values, strict=True)) for values in batch)
    )
    yield from _by_charge_period(calls, focus, charges)
    if left := charges.rest():
        yield left


_Drawing = tuple[FocusCall, Sequence[Drawn]]
"""A call, and what it draws from commitments."""


def _by_charge_period(
    calls: Iterable[_Drawing], focus: Focus, charges: Charges | None = None
) -> Iterator[list[Values]]:
    grain = focus.grain
    for period, some in groupby(calls, lambda call: charge_period(call[0].occurred_us, grain)):
        if charges is not None and (before := charges.until(period[0])):
            yield before
        yield from pages_of_values(
            row for call, drawn in some for row in paid(values_of_call(call, grain), drawn)
        )


def _corrections(
    restated: Iterable[Restated], known: _Known, charges: Charges, month: str
) -> Iterator[_Drawing]:
    """Each call as it was, taken back, and as it is since."""
    window = window_of(month)
    billing = (window.start_us, window.end_us)
    for each in restated:
        drawn = charges.drawn_late(each)
        if each.before is not None:
            call = reversal_of(_focus_call(each.before, known))
            yield call._replace(corrects_closed=True, billing_period=billing), ()
        if each.after is not None:
            call = _focus_call(each.after, known)
            call = call._replace(is_correction=True, corrects_closed=True, billing_period=billing)
            yield call, drawn


def focus_csv(pages: Iterator[list[Values]], focus: Focus) -> Iterator[bytes]:
    """The dataset as CSV: texts are exact, for programs and not for spreadsheets."""
    lines = csv_lines_of_pages(pages, focus.version)
    while some := list(islice(lines, LINES)):
        yield "".join(some).encode()


def focus_table(pages: Iterator[list[Values]], focus: Focus) -> Exported:
    """The dataset as a table with typed columns; instants are to the second."""
    wanted = columns_of(focus.version)
    columns = tuple(Column(each.name, _KINDS.get(each.type, Kind.TEXT)) for each in wanted)
    values = values_in(wanted)
    return Exported("focus", columns, (list(map(values, page)) for page in pages))


class _Cards:
    """The cards that rated the calls, each with the one at list prices where a contract applies."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[CompiledRate | None, CompiledRate | None]] = {}

    def of(self, version: str | None) -> tuple[CompiledRate | None, CompiledRate | None]:
        if version is None:
            return None, None
        known = self._known.get(version)
        if known is None:
            with read(self._database) as session:
                card = stored_card(session, version)
            known = self._known[version] = (card, _at_list_prices(card))
        return known


def _at_list_prices(card: CompiledRate | None) -> CompiledRate | None:
    """The card without its contract. What a region or a tier adds is part of the list price."""
    if card is None or not card.has_contract:
        return None
    public = [each for each in card.adjustments if each.scope == "list"]
    return CompiledRate(card.card, public)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is looked up for the calls of an export. Many have the tags and the metadata of others;
    both are kept no longer than the export takes."""

    cards: _Cards
    labels: Labels
    organization_name: str | None
    metadata: Callable[[str | None], tuple[str | None, str | None]] = field(
        default_factory=lambda: lru_cache(maxsize=1024)(_metadata)
    )
    tags: Callable[[str | None], str] = field(
        default_factory=lambda: lru_cache(maxsize=1024)(_tags)
    )


def _focus_call(call: Mapping[str, Any], known: _Known) -> FocusCall:
    usage = usage_of(call)
    labels = known.labels
    metadata, own_center = known.metadata(call["metadata"])
    card, listed = known.cards.of(call["price_version"])
    lines, uncounted = (_NO_CARD if card is None else card).itemized(usage)
    tokens = total_input_tokens(usage) if card is not None and card.bounds else 0
    cost = call["cost_e10"]
    return FocusCall(
        id=call["id"],
        occurred_us=int(call["timestamp"]),
        provider=call["provider"],
        model=call["model_name"],
        currency=call["currency"],
        organization_id=call["organization_id"],
        organization_name=known.organization_name,
        cost_e10=None if cost is None else int(cost),
        list_cost_e10=None if call["list_cost_e10"] is None else int(call["list_cost_e10"]),
        cost_status=call["cost_status"],
        lines=lines,
        list_lines=() if listed is None else listed.itemized(usage).lines,
        usage=uncounted,
        requests=int(call["requests"]),
        service_tier=call["service_tier"],
        processing=call["processing"],
        region=call["region"],
        context_tier=None if card is None else context_tier(tokens, card.bounds),
        meters_cache=card is not None and "cache_read_tokens" in card.card.prices,
        project_id=call["project_id"],
        project_name=labels.projects.get(call["project_id"]),
        team=call["team_id"],
        user=call["user_id"],
        cost_center=own_center or labels.cost_center_of(call["team_id"]),
        environment=call["environment"],
        feature=call["feature"],
        credential_id=call["api_key_id"],
        credential_name=labels.keys.get(call["api_key_id"]),
        tags=known.tags(call["tags"]),
        metadata=metadata,
        price_version=call["price_version"],
        price_rule=call["price_rule"],
    )


def _metadata(stored: str | None) -> tuple[str | None, str | None]:
    """Stored metadata as the dataset has them, and the cost center that they name."""
    metadata = stored_json(stored, None)
    return key_values(metadata), own_cost_center(metadata)


def _tags(stored: str | None) -> str:
    """`key:value` as a key with a value; other texts, and a key that is there twice, as keys."""
    found: dict[str, object] = {}
    for tag in cast("Sequence[str]", stored_json(stored, ())):
        key, colon, value = tag.partition(":")
        if colon and key and value and key not in found:
            found[key] = value
        else:
            found[tag] = True
    return key_values(found) or ""
