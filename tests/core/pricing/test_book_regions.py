"""A region has cards, an adjustment or a stated reason to cost the base price, else nothing."""

from __future__ import annotations

from decimal import Decimal
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.pricing.book import PriceBook, Resolution
from llm_cost_ops.core.pricing.card import Adjustment
from llm_cost_ops.core.pricing.catalog import Catalog, Entry
from llm_cost_ops.core.pricing.rate import rate
from llm_cost_ops.core.pricing.regions import AdjustmentRule, Patterns
from tests.support.price_books import AUTUMN, book_of, card, find, packaged

RULE = {
    "id": "uplift", "label": "1.1x", "provider": "acme", "models": ["new-*"],
    "regions": ["eu", "europe-*"], "factor": "1.1", "source": "a page",
}  # fmt: skip
PLAIN = [{"prices": {"input_tokens": "10", "web_searches": ["1", 1]}}]
BOOK = book_of(
    [
        {"provider": "acme", "model": "new-m", "cards": PLAIN},
        {"provider": "acme", "model": "old-m", "cards": PLAIN},
        {
            "provider": "acme",
            "model": "new-regional",
            "cards": [*PLAIN, {"prices": {"input_tokens": "12"}, "region": "eu"}],
        },
        {
            "provider": "acme",
            "model": "only-eu",
            "cards": [{"prices": {"input_tokens": "12"}, "region": "eu"}],
        },
        {"provider": "flat", "model": "m", "cards": PLAIN},
    ],
    regions={"acme": {"base": ["global"], "neutral": ["eu", "us-*"]}},
    adjustments=[RULE],
)
CLOSED = book_of(
    [
        {"provider": "acme", "model": "new-m", "cards": PLAIN},
        {
            "provider": "acme",
            "model": "mixed",
            "cards": [*PLAIN, {"prices": {"input_tokens": "12"}, "region": "atlantis"}],
        },
        {
            "provider": "azure",
            "model": "new-m",
            "cards": [*PLAIN, {"prices": {"input_tokens": "12"}, "region": "eu"}],
        },
    ],
    regions={
        name: {"base": ["global"], "neutral": ["here-#"], "known": ["??"]}
        for name in ("acme", "azure")
    },
    adjustments=[RULE],
)


def found(model: str, region: str | None, provider: str = "acme") -> Resolution | None:
    return BOOK.resolve(provider, model, at=AUTUMN, region=region)


@pytest.mark.parametrize("region", ["eu", "EU", "europe-west1"])
def test_an_uplift_multiplies_every_token_kind_and_nothing_else(region: str) -> None:
    result = found("new-m", region)
    assert result is not None
    assert [a.id for a in result.adjustments] == ["uplift"]
    rated = rate({"input_tokens": 1_000_000, "web_searches": 1}, result.card, result.adjustments)
    assert (rated.cost, rated.list_cost) == (Decimal(12), Decimal(12))


@pytest.mark.parametrize("region", [None, "", "global", "us-east-1"])
def test_the_base_price_needs_a_reason(region: str | None) -> None:
    result = found("new-m", region)
    assert result is not None
    assert result.adjustments == ()


def test_a_neutral_region_is_the_base_price_for_models_without_uplift() -> None:
    result = found("old-m", "eu")
    assert result is not None
    assert result.adjustments == ()


@pytest.mark.parametrize("model", ["new-m", "old-m"])
def test_an_unlisted_region_is_unpriced(model: str) -> None:
    assert found(model, "atlantis") is None


@pytest.mark.parametrize("region", ["atlantis", "here-", "here-x", "usa", "u"])
def test_a_text_that_is_no_region_is_a_label_and_is_warned_of(region: str) -> None:
    found = CLOSED.resolve("acme", "new-m", at=AUTUMN, region=region)
    assert found is not None
    assert (found.card.region, found.adjustments) == (None, ())
    assert found.warnings == (f"{region} is no region of acme and has no part in the price",)


@pytest.mark.parametrize("region", ["us", "xx"])
def test_a_text_of_the_form_of_a_region_is_unpriced(region: str) -> None:
    assert CLOSED.resolve("acme", "new-m", at=AUTUMN, region=region) is None


@pytest.mark.parametrize("region", [None, "global", "here-1", "here-42", "europe-west1"])
def test_a_listed_region_is_not_warned_of(region: str | None) -> None:
    found = CLOSED.resolve("acme", "new-m", at=AUTUMN, region=region)
    assert found is not None
    assert found.warnings == ()


def test_a_card_makes_its_region_known() -> None:
    found = CLOSED.resolve("acme", "mixed", at=AUTUMN, region="atlantis")
    assert found is not None
    assert (found.card.region, found.warnings) == ("atlantis", ())


def test_a_label_leaves_the_region_that_the_name_states() -> None:
    found = CLOSED.resolve("azure", "eu/new-m", at=AUTUMN, region="production")
    assert found is not None
    assert (found.card.region, len(found.warnings)) == ("eu", 1)


def test_a_label_is_a_region_to_own_prices_and_contracts() -> None:
    own = CLOSED.with_overrides([card("new-m", "3", region="atlantis")])
    found = own.resolve("acme", "new-m", at=AUTUMN, region="Atlantis")
    assert found is not None
    assert (found.card.prices["input_tokens"].price, found.warnings) == (Decimal(3), ())
    discount = Adjustment("half", "half", Decimal("0.5"), None, "contract")
    rule = AdjustmentRule(discount, regions=Patterns.of(["atlantis"]))
    agreed = CLOSED.with_overrides(adjustments=[rule])
    found = agreed.resolve("acme", "new-m", at=AUTUMN, region="atlantis")
    assert found is not None
    assert found.adjustments == (discount,)


def test_a_regional_card_replaces_base_and_uplift() -> None:
    result = found("new-regional", "eu")
    assert result is not None
    assert (result.card.region, result.adjustments) == ("eu", ())


def test_a_model_with_regional_cards_has_no_neutral_regions() -> None:
    assert found("new-regional", "us-east-1") is None
    assert found("new-regional", "global") is not None


def test_a_card_in_a_region_that_is_not_neutral_says_nothing_about_the_neutral_ones() -> None:
    """GovCloud cards do not make the commercial regions unknown."""
    assert find("aws", "anthropic.claude-sonnet-4-5-20250929-v1:0", region="eu-central-1")
    gov = find("aws", "anthropic.claude-sonnet-4-5-20250929-v1:0", region="us-gov-west-1")
    assert gov.card.prices["input_tokens"].price == Decimal("3.6")


def test_neutral_regions_may_hold_for_some_models_only() -> None:
    assert (
        packaged().resolve("aws", "amazon.nova-lite-v1:0", at=AUTUMN, region="eu-north-1") is None
    )
    assert find("aws", "amazon.nova-lite-v1:0", region="us-east-1").card.region is None


def test_a_data_zone_is_not_a_resource_region() -> None:
    assert find("azure", "phi-4", region="eastus2").adjustments == ()
    assert packaged().resolve("azure", "phi-4", at=AUTUMN, region="us") is None


def test_a_model_sold_in_a_region_only() -> None:
    assert found("only-eu", None) is None
    assert found("only-eu", "global") is None
    assert found("only-eu", "eu") is not None


def test_a_provider_without_regional_prices_has_one_price() -> None:
    assert found("m", "anywhere", "flat") is not None


def test_an_uplift_may_begin_later() -> None:
    dated = {**RULE, "from": "2027-01-01T00:00Z", "kinds": ["web_searches"]}
    book = book_of([{"provider": "acme", "model": "new-m", "cards": PLAIN}], adjustments=[dated])
    result = book.resolve("acme", "new-m", at=AUTUMN, region="eu")
    assert result is not None
    assert result.adjustments == ()


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        ([], "a", False),
        (["a"], "a", True),
        (["a"], "ab", False),
        (["a*"], "ab", True),
        (["*b"], "ab", True),
        (["A*C"], "abc", True),
        (["a.c"], "abc", False),
        (["x", "a*"], "ab", True),
        (["a?"], "ab", True),
        (["a?"], "a", False),
        (["a#"], "a10", True),
        (["a#"], "a", False),
        (["a#"], "a-1", False),
    ],
)
def test_patterns(patterns: list[str], name: str, expected: bool) -> None:
    assert Patterns.of(patterns).match(name) is expected


def test_no_region_of_the_packaged_book_is_both_uplifted_and_base() -> None:
    book = PriceBook.packaged()
    for provider in ("openai", "anthropic", "google", "azure", "mistral", "together"):
        for entry in book.models():
            if entry.provider == provider:
                result = book.resolve(provider, entry.model, at=AUTUMN, region="global")
                assert result is None or not result.adjustments


CATALOG = Catalog(
    (resources.files("llm_cost_ops.core.pricing") / "data" / "book.jsonl").read_text("utf-8")
)
POLICED = ("openai", "anthropic", "google", "azure", "aws", "mistral", "together")
REGIONS = st.one_of(
    st.text(max_size=24),
    st.from_regex(r"[a-z]{2}(-[a-z]{3,6})?(-?[0-9])?", fullmatch=True),
    st.sampled_from(["us-gov-west-1", "europe-west4", "swedencentral", "datazone-us", "global"]),
)


@given(st.sampled_from([e for e in packaged().models() if e.provider in POLICED]), REGIONS)
def test_no_text_gets_the_base_price_in_silence(entry: Entry, region: str) -> None:
    found = packaged().resolve(entry.provider, entry.model, at=AUTUMN, region=region)
    name = region.strip().lower()
    if found is None or not name or found.card.region or found.adjustments:
        return
    policy = CATALOG.regions[entry.provider]
    stated = policy.base.match(name) or policy.neutral.match(name)
    assert stated or len(found.warnings) == 1
    assert not (stated and found.warnings)
