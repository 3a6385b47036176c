"""What a batch finds once per model is what the prices say of each call."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from llm_cost_ops.core.instant import format_instant, to_micros
from llm_cost_ops.core.pricing.book import PriceBook
from llm_cost_ops.core.pricing.card import Adjustment, KindPrice, RateCard, TimeWindow
from llm_cost_ops.core.pricing.regions import AdjustmentRule
from llm_cost_ops.server.ingest import decode
from llm_cost_ops.server.ingest.draft import Door, draft_usage
from llm_cost_ops.server.ingest.schema import WireRecord
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.pricing.resolve import CardRegistry, OrganizationPrices

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATER = to_micros(NOON + timedelta(days=365))
NIGHT = (TimeWindow("UTC", frozenset(range(7)), 0, 360),)
USAGE = {"input_tokens": 1000, "output_tokens": 100, "cache_read_tokens": 400}


def own(model: str, price: str, **context: object) -> RateCard:
    prices = {
        kind: KindPrice(Decimal(price), 1_000_000) for kind in ("input_tokens", "output_tokens")
    }
    return RateCard(f"own-{model}-{price}", "openai", model, prices, **context)  # pyright: ignore[reportArgumentType]


FLAT = RateCard(
    "own-flat",
    "openai",
    "flat",
    {},
    structure={"type": "per_request", "price_per_request": Decimal("0.25")},
)
CARDS = (
    own("steady", "1", inherits=frozenset({"cache_read_tokens"})),
    own("dated", "2", valid_to=NOON, inherits=frozenset({"cache_read_tokens"})),
    own("dated", "3", valid_from=NOON),
    own("windowed", "4"),
    own("windowed", "5", windows=NIGHT),
    own("ended", "6", valid_to=NOON),
    own("euros", "7", currency="EUR"),
    FLAT,
)
DISCOUNT = AdjustmentRule(
    Adjustment("d", "half", Decimal("0.5"), None, "contract"), provider="anthropic"
)
TIMES = [
    NOON - timedelta(microseconds=1),
    NOON,
    NOON + timedelta(hours=12),
    NOON + timedelta(hours=18),
]
MODELS = [("openai", card.model) for card in CARDS] + [
    ("openai", "gpt-4o"),
    ("anthropic", "claude-sonnet-4-5"),
    ("google", "gemini-2.5-pro"),
    ("deepseek", "deepseek-chat"),
    ("openai", "no-such-model"),
]


@pytest.fixture(scope="module")
def prices() -> OrganizationPrices:
    book = PriceBook.packaged().with_overrides(CARDS, (DISCOUNT,))
    return OrganizationPrices(book, CardRegistry())


def drafts(door: Door, *records: dict[str, object]) -> list[Entry]:
    body = json.dumps({"records": records}).encode()
    found = decode.decode_records(body, "application/json", len(records))
    return [draft_usage(record, door) for record in found if isinstance(record, WireRecord)]


def test_each_call_of_a_batch_costs_what_its_own_quote_says(prices: OrganizationPrices) -> None:
    calls = [(p, m, at) for at in [*TIMES, *reversed(TIMES)] for p, m in MODELS]
    counts = {"prompt_tokens": 1000, "completion_tokens": 100, "cached_tokens": 400}
    records = [
        {"provider": p, "model": m, "timestamp": format_instant(at), **counts} for p, m, at in calls
    ]
    made = drafts(Door("org-1", prices, LATER), *records)
    assert len(made) == len(calls)
    for entry, (provider, model, at) in zip(made, calls, strict=True):
        quote = prices.quote(provider, model, at, USAGE)
        found = (entry.cost_status, entry.cost_e10, entry.list_cost_e10, entry.currency)
        assert (*found, entry.price_version, entry.price_rule) == quote[:6]
        assert (entry.timestamp, entry.model_name) == (to_micros(at), model)
    versions = {entry.model_name: set[str | None]() for entry in made}
    for entry in made:
        versions[entry.model_name].add(entry.price_version)
    assert versions["dated"] == {"own-dated-2", "own-dated-3"}
    assert versions["windowed"] == {"own-windowed-4", "own-windowed-5"}
    assert versions["ended"] == {"own-ended-6", None}


def test_calls_of_one_model_share_nothing_but_what_is_common(prices: OrganizationPrices) -> None:
    first, second = drafts(
        Door("org-1", prices, LATER, recorded_by="key", import_id="imp"),
        {"provider": "openai", "model": "steady", "prompt_tokens": 7, "completion_tokens": 2,
         "cached_tokens": 3, "project_id": "p", "tags": ["t"], "metadata": {"a": 1}},
        {"provider": "openai", "model": "steady", "prompt_tokens": 1, "completion_tokens": 0},
    )  # fmt: skip
    assert (first.project_id, first.tags, first.metadata) == ("p", '["t"]', '{"a":1}')
    assert (second.project_id, second.tags, second.metadata) == (None, None, None)
    assert (second.input_tokens, second.output_tokens, second.cached_tokens) == (1, 0, 0)
    assert (second.organization_id, second.recorded_by, second.import_id) == ("org-1", "key", "imp")


def test_a_tier_processing_or_region_is_another_context(prices: OrganizationPrices) -> None:
    plain = {"provider": "openai", "model": "steady", "prompt_tokens": 5, "completion_tokens": 5}
    made = drafts(
        Door("org-1", prices, LATER),
        plain,
        {**plain, "service_tier": "default"},
        {**plain, "service_tier": "flex"},
        {**plain, "processing": "batch"},
        {**plain, "region": "eu"},
    )
    found = [entry.cost_status for entry in made]
    assert found == ["priced", "priced", "unpriced", "unpriced", "priced"]  # own prices: any region
    assert [entry.service_tier for entry in made][:3] == ["standard", "standard", "flex"]
    assert (made[3].processing, made[4].region) == ("batch", "eu")
