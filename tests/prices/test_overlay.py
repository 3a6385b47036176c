"""The overlay: its application, its values and its files."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from tests.prices.made import TODAY, amounts, genai, lite, model
from tools.prices.pricebuild import apply
from tools.prices.pricebuild.assemble import OVERLAY, SCHEMA
from tools.prices.pricebuild.overlay import Overlay, instant, matches, price, selected, windows
from tools.prices.pricebuild.rows import GENAI, Card, Catalogue, Price, Window, by_key
from tools.prices.pricebuild.write import plain


def overlay(**sections: list[dict[str, Any]]) -> Overlay:
    made = Overlay()
    for name, entries in sections.items():
        made[name].extend({"checked_at": TODAY, **entry} for entry in entries)
    return made


def given(mode: str, *cards: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"provider": "p", "model": "m", "mode": mode, "cards": list(cards), **more}


def test_replace_drops_the_public_cards() -> None:
    catalogue = by_key([model("m", genai(input_tokens="2"))])
    card = {"prices": {"input_tokens": "1"}, "from": "2026-01-01"}
    apply.apply_models(catalogue, overlay(models=[given("replace", card)]))
    (only,) = catalogue[("p", "m")].cards
    assert (only.prices, only.valid_from) == (amounts(input_tokens="1"), instant("2026-01-01"))
    assert (only.source, only.checked_at) == ("overlay", TODAY)


def test_patch_lays_over_the_cards_of_its_context_and_span() -> None:
    cut = datetime(2025, 6, 10, tzinfo=UTC)
    cards = [genai(input_tokens="9").span(None, cut), genai(input_tokens="2").span(cut, None)]
    catalogue = by_key([model("m", *cards)])
    card = {"prices": {"cache_read_tokens": "1"}, "to": "2025-06-10"}
    apply.apply_models(catalogue, overlay(models=[given("patch", card)]))
    assert [c.prices.keys() for c in catalogue[("p", "m")].cards] == [
        {"input_tokens", "cache_read_tokens"},
        {"input_tokens"},
    ]


def test_patch_adds_a_context_that_is_new() -> None:
    catalogue = by_key([model("m", genai(input_tokens="2"))])
    card = {"prices": {"input_tokens": "1"}, "processing": "batch"}
    apply.apply_models(catalogue, overlay(models=[given("patch", card)]))
    assert [c.processing for c in catalogue[("p", "m")].cards] == ["realtime", "batch"]


def test_spans_repeat_a_card() -> None:
    catalogue: Catalogue = {}
    card = {"prices": {"input_tokens": "1"}, "spans": [["", "2026-01-01"], ["2026-02-01", ""]]}
    apply.apply_models(catalogue, overlay(models=[given("replace", card)]))
    spans = [(c.valid_from, c.valid_to) for c in catalogue[("p", "m")].cards]
    assert spans == [(None, instant("2026-01-01")), (instant("2026-02-01"), None)]


def test_a_name_has_one_owner() -> None:
    catalogue = by_key([model("o", genai(input_tokens="2"), aliases=("m", "x", "y"))])
    entry = given("replace", {"prices": {"input_tokens": "1"}}, aliases=["X"])
    apply.apply_models(catalogue, overlay(models=[entry]))
    assert catalogue[("p", "o")].aliases == {"y"}


def test_kinds_can_be_removed() -> None:
    catalogue = by_key([model("m", genai(input_tokens="2", web_searches="1"))])
    entry = given("patch", remove_kinds=["web_searches"])
    apply.apply_models(catalogue, overlay(models=[entry]))
    assert catalogue[("p", "m")].cards[0].prices.keys() == {"input_tokens"}


FEE = {
    "provider": "p",
    "models": ["m*"],
    "except": ["mx"],
    "from": "2025-11-19",
    "prices": {"web_searches": {"price": "5", "per": 1000}},
}


def charged(*cards: Card, name: str = "m") -> list[tuple[Any, Any, bool]]:
    catalogue = by_key([model(name, *cards)])
    apply.apply_fees(catalogue, overlay(fees=[FEE]))
    return [
        (c.valid_from, c.valid_to, "web_searches" in c.prices) for c in catalogue[("p", name)].cards
    ]


def test_a_fee_splits_the_card_that_was_valid_before_it() -> None:
    since, later = instant("2025-11-19"), instant("2026-01-01")
    assert charged(genai(input_tokens="1")) == [(None, since, False), (since, None, True)]
    assert charged(genai(input_tokens="1").span(later, None)) == [(later, None, True)]
    assert charged(genai(input_tokens="1").span(since, later)) == [(since, later, True)]
    assert charged(genai(input_tokens="1").span(None, since)) == [(None, since, False)]


def test_a_fee_leaves_own_prices_other_contexts_and_exceptions() -> None:
    own = genai(input_tokens="1", web_searches="9")
    batch = Card(amounts(input_tokens="1"), GENAI, processing="batch")
    assert charged(own, batch) == [(None, None, True), (None, None, False)]
    assert own.prices["web_searches"].price == 9
    assert charged(genai(input_tokens="1"), name="mx") == [(None, None, False)]


RULE = {
    "provider": "p",
    "models": ["m*"],
    "processing": "batch",
    "factor": "0.5",
    "kinds": ["*_tokens"],
}


def derived(catalogue: Catalogue, **changes: Any) -> list[tuple[Any, Any, str]]:
    apply.apply_derived(catalogue, overlay(derive=[{**RULE, **changes}]))
    return [
        (c.valid_from, c.valid_to, plain(c.prices["input_tokens"].price))
        for m in catalogue.values()
        for c in m.cards
        if c.processing == "batch"
    ]


def test_a_ratio_fills_only_what_no_row_covers() -> None:
    cut, later = instant("2026-01-01"), instant("2026-06-01")
    cards = [
        genai(input_tokens="8").span(None, cut),
        genai(input_tokens="4").span(cut, None),
        Card(amounts(input_tokens="3"), GENAI, processing="batch", valid_from=later),
    ]
    found = derived(by_key([model("m", *cards)]))
    assert sorted(found, key=str) == sorted(
        [(None, cut, "4"), (cut, later, "2"), (later, None, "3")], key=str
    )


def test_a_ratio_has_a_start_and_exceptions() -> None:
    since = instant("2024-10-08")
    models = [model("m", genai(input_tokens="2")), model("mx", genai(input_tokens="2"))]
    changes = {"since": "2024-10-08", "except": ["mx"]}
    assert derived(by_key(models), **changes) == [(since, None, "1")]


def test_a_ratio_begins_after_an_ended_price_in_vain() -> None:
    ended = genai(input_tokens="2").span(None, instant("2024-01-01"))
    assert derived(by_key([model("m", ended)]), since="2024-10-08") == []


def test_a_ratio_may_need_a_context_that_exists() -> None:
    assert derived(by_key([model("m", genai(input_tokens="2"))]), where_context_exists=True) == []


def test_a_ratio_keeps_what_is_told_and_what_is_no_token() -> None:
    catalogue = by_key(
        [model("m", genai(input_tokens="2", cache_read_tokens="1", web_searches="9"))]
    )
    derived(catalogue, keep=["cache_read_tokens"], kinds=["input_tokens"])
    batch = catalogue[("p", "m")].cards[-1]
    assert {k: plain(p.price) for k, p in batch.prices.items()} == {
        "input_tokens": "1",
        "cache_read_tokens": "1",
        "web_searches": "9",
    }


def test_a_tier_is_closed() -> None:
    fast = Card(amounts(input_tokens="2"), GENAI, tier="fast")
    catalogue = by_key([model("m", genai(input_tokens="1"), fast)])
    entry = {"provider": "p", "models": ["m"], "tier": "fast", "to": "2026-11-30"}
    apply.apply_close(catalogue, overlay(close=[entry]))
    assert [c.valid_to for c in catalogue[("p", "m")].cards] == [None, instant("2026-11-30")]


def test_free_is_stated_as_zero() -> None:
    catalogue = by_key([model("m:free", Card({}, GENAI))])
    apply.apply_free(catalogue, overlay(free=[{"provider": "*", "models": ["*:free"]}]))
    (card,) = catalogue[("p", "m:free")].cards
    assert card.prices == amounts(input_tokens="0", output_tokens="0")


def test_a_fallback_copies_token_prices_of_models_that_the_host_lacks() -> None:
    maker = [
        model("a", genai(input_tokens="2", web_searches="9"), aliases=("a-1",)),
        model("b", genai(input_tokens="2")),
        model("c", genai(web_searches="2")),
    ]
    catalogue = by_key([*maker, model("b", genai(input_tokens="3"), provider="host")])
    entry = {"provider": "host", "from_provider": "p", "models": ["*"]}
    copied = apply.apply_fallbacks(catalogue, overlay(fallbacks=[entry]))
    assert copied == {("host", "a"): "p"}
    twin = catalogue[("host", "a")]
    assert (twin.aliases, twin.cards[0].prices) == ({"a-1"}, amounts(input_tokens="2"))


def test_declared_kinds_never_include_priced_ones() -> None:
    priced = Card(amounts(input_tokens="1", input_image_tokens="3"), GENAI)
    other = Card(amounts(input_tokens="1"), GENAI, tier="flex")
    catalogue = by_key([model("m", priced, other)])
    kinds = ["input_image_tokens", "input_video_tokens"]
    entry = {"provider": "p", "models": ["m"], "kinds": kinds}
    apply.apply_inherits(catalogue, overlay(inherits=[entry]))
    assert {frozenset(c.inherits) for c in catalogue[("p", "m")].cards} == {
        frozenset({"input_video_tokens"})
    }


def test_kinds_may_be_declared_for_models_that_accept_a_modality() -> None:
    seeing = model("m", genai(input_tokens="1"))
    seeing.accepts = frozenset({"image"})
    catalogue = by_key([seeing, model("n", genai(input_tokens="1"))])
    entry = {"provider": "p", "models": ["*"], "accepts": "image", "kinds": ["input_image_tokens"]}
    apply.apply_inherits(catalogue, overlay(inherits=[entry]))
    assert catalogue[("p", "m")].cards[0].inherits == {"input_image_tokens"}
    assert catalogue[("p", "n")].cards[0].inherits == frozenset()


def test_a_modality_at_the_text_rate_is_declared_instead_of_priced() -> None:
    card = lite(input_tokens="2", input_image_tokens="2", input_audio_tokens="3")
    catalogue = by_key([model("m", card)])
    apply.fold_equal_modalities(catalogue)
    assert card.prices.keys() == {"input_tokens", "input_audio_tokens"}
    assert card.inherits == {"input_image_tokens"}


@pytest.mark.parametrize(
    ("name", "patterns", "expected"),
    [
        ("gpt-4o", ["gpt-*"], True),
        ("GPT-4o", ["gpt-4O"], True),
        ("xgpt", ["gpt*"], False),
        ("a.b", ["a?b"], False),
        ("x", [], False),
    ],
)
def test_patterns(name: str, patterns: list[str], expected: bool) -> None:
    assert matches(name, patterns) is expected


def test_selection_of_models() -> None:
    entry = {"provider": "*", "models": ["m*"], "except": ["mx"]}
    assert selected(entry, "p", "m1")
    assert not selected(entry, "p", "mx")
    assert not selected({**entry, "provider": "q"}, "p", "m1")


def test_values_of_the_overlay() -> None:
    assert instant("") is None
    assert instant("2026-08-16T16:00Z") == datetime(2026, 8, 16, 16, tzinfo=UTC)
    tiers = [{"above": 5, "price": "2", "inclusive": True}]
    assert price({"price": "1", "per": 10, "tiers": tiers}) == Price(
        Decimal(1), 10, ((5, Decimal(2), True),)
    )
    assert windows([{"zone": "UTC", "from": "16:30", "to": "24:00"}]) == (
        Window("UTC", (0, 1, 2, 3, 4, 5, 6), 990, 1440),
    )


OVERLAY_FILES = sorted(OVERLAY.glob("*.yaml"))


@pytest.mark.parametrize("path", OVERLAY_FILES, ids=lambda path: path.stem)
def test_every_overlay_file_follows_the_schema(path: Path) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["checked_at"] = str(content["checked_at"])
    text = json.loads(json.dumps(content, default=_stamp))
    jsonschema_rs.validator_for(schema).validate(text)


def _stamp(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%MZ")
    return str(value)


@pytest.mark.parametrize("path", OVERLAY_FILES, ids=lambda path: path.stem)
def test_every_entry_names_its_source(path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    entries = [e for section in content.values() if isinstance(section, list) for e in section]
    assert entries
    assert all(entry.get("source") for entry in entries)
