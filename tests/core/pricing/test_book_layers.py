"""Layers of prices: the organization's over the operator's over the packaged book."""

from __future__ import annotations

from decimal import Decimal

from llm_cost_ops.core.pricing import book as book_module
from llm_cost_ops.core.pricing.book import PriceBook, Resolution
from llm_cost_ops.core.pricing.card import Adjustment
from llm_cost_ops.core.pricing.regions import AdjustmentRule, Patterns
from tests.support.price_books import AUTUMN, at, book_of, card, packaged

MODEL = {
    "provider": "acme",
    "model": "m",
    "aliases": ["m-2026-01-01", "em"],
    "cards": [
        {"prices": {"input_tokens": "9"}},
        {"prices": {"input_tokens": "5"}, "processing": "batch"},
    ],
}


def resolved(book: PriceBook, model: str = "m", **context: object) -> Resolution:
    found = book.resolve("acme", model, at=AUTUMN, **context)  # pyright: ignore[reportArgumentType]
    assert found is not None
    return found


def unit_price(found: Resolution) -> Decimal:
    return found.card.prices["input_tokens"].price


def test_the_later_layer_wins() -> None:
    public = book_of([MODEL])
    operator = public.with_overrides([card("m", "7", id="op")])
    organization = operator.with_overrides([card("m", "3", id="org")])
    assert [unit_price(resolved(b)) for b in (public, operator, organization)] == [9, 7, 3]


def test_an_own_price_leaves_other_contexts_to_the_public_book() -> None:
    book = book_of([MODEL]).with_overrides([card("m", "3")])
    assert unit_price(resolved(book, processing="batch")) == 5


def test_an_own_price_for_a_context_that_the_public_book_lacks() -> None:
    book = book_of([MODEL]).with_overrides([card("m", "3", service_tier="scale")])
    assert unit_price(resolved(book, service_tier="scale")) == 3
    assert unit_price(resolved(book)) == 9


def test_an_own_price_holds_for_the_names_of_the_model() -> None:
    book = book_of([MODEL]).with_overrides([card("M", "3")])
    for name in ("m", "M", "em", "m-2026-01-01", "m-20260101", "m-2027-03-04"):
        assert unit_price(resolved(book, name)) == 3, name


def test_an_own_price_of_a_snapshot_is_not_the_models() -> None:
    book = book_of([MODEL]).with_overrides([card("m-2026-01-01", "3")])
    assert unit_price(resolved(book, "m")) == 9
    assert unit_price(resolved(book, "m-2026-01-01")) == 3


def test_a_provider_that_only_the_organization_knows() -> None:
    book = book_of().with_overrides([card("house-llm", "3", provider="in-house")])
    found = book.resolve("in-house", "House-LLM", at=AUTUMN)
    assert found is not None
    assert (found.provider, found.model, found.rule) == ("in-house", "house-llm", "exact")


def test_an_own_price_begins_and_ends() -> None:
    own = card("m", "3", valid_from=at("2026-11-01T00:00:00Z"), valid_to=at("2026-11-20T00:00:00Z"))
    book = book_of([MODEL]).with_overrides([own])
    days = {"2026-10-31T23:59:59Z": 9, "2026-11-01T00:00:00Z": 3, "2026-11-20T00:00:00Z": 9}
    for day, expected in days.items():
        found = book.resolve("acme", "m", at=at(day))
        assert found is not None
        assert unit_price(found) == expected, day


def test_a_later_start_replaces_an_open_ended_price() -> None:
    first = card("m", "3", valid_from=at("2026-01-01T00:00:00Z"))
    second = card("m", "2", valid_from=at("2026-06-01T00:00:00Z"))
    book = book_of().with_overrides([second, first])
    assert unit_price(resolved(book)) == 2
    spring = book.resolve("acme", "m", at=at("2026-05-31T00:00:00Z"))
    assert spring is not None
    assert unit_price(spring) == 3


def test_what_was_known_at_a_time() -> None:
    old = card("m", "3", id="v1", recorded_at=at("2026-10-01T00:00:00Z"))
    new = card("m", "2", id="v2", recorded_at=at("2026-11-10T00:00:00Z"))
    book = book_of([MODEL]).with_overrides([new, old])
    assert resolved(book).card.id == "v2"
    assert resolved(book, known_at=at("2026-11-09T00:00:00Z")).card.id == "v1"
    assert resolved(book, known_at=at("2026-11-10T00:00:00Z")).card.id == "v2"
    assert unit_price(resolved(book, known_at=at("2026-09-30T00:00:00Z"))) == 9


def test_a_version_that_ends_a_price_does_not_revive_the_one_before() -> None:
    start = at("2026-01-01T00:00:00Z")
    old = card("m", "3", valid_from=start, recorded_at=at("2026-01-02T00:00:00Z"))
    ended = card(
        "m", "3", id="end", valid_from=start, valid_to=at("2026-11-01T00:00:00Z"),
        recorded_at=at("2026-10-20T00:00:00Z"),
    )  # fmt: skip
    book = book_of([MODEL]).with_overrides([old, ended])
    assert unit_price(resolved(book)) == 9


def test_an_own_price_with_a_region_wins_over_one_without() -> None:
    book = book_of().with_overrides([card("m", "3"), card("m", "4", region="eu")])
    assert unit_price(resolved(book)) == 3
    assert unit_price(resolved(book, region="EU")) == 4
    assert unit_price(resolved(book, region="us")) == 3


def discount(name: str, factor: str, scope: str = "contract") -> Adjustment:
    return Adjustment(name, name, Decimal(factor), None, scope)


def test_discounts_apply_in_order_operator_first() -> None:
    public = book_of([MODEL])
    operator = public.with_overrides(adjustments=[AdjustmentRule(discount("op", "0.9"))])
    book = operator.with_overrides(
        adjustments=[
            AdjustmentRule(discount("org", "0.8"), "acme", Patterns.of(["m*"])),
            AdjustmentRule(discount("other", "0.1"), "elsewhere"),
            AdjustmentRule(discount("models", "0.1"), "acme", Patterns.of(["x*"])),
            AdjustmentRule(discount("region", "0.1"), regions=Patterns.of(["eu"])),
        ]
    )
    assert [a.id for a in resolved(book).adjustments] == ["op", "org"]


def test_a_discount_is_dated() -> None:
    rule = AdjustmentRule(
        discount("d", "0.5"),
        valid_from=at("2026-11-01T00:00:00Z"),
        valid_to=at("2026-12-01T00:00:00Z"),
    )
    book = book_of([MODEL]).with_overrides(adjustments=[rule])
    days = {"2026-10-31T23:59:59Z": 0, "2026-11-01T00:00:00Z": 1, "2026-12-01T00:00:00Z": 0}
    for day, count in days.items():
        found = book.resolve("acme", "m", at=at(day))
        assert found is not None
        assert len(found.adjustments) == count, day


def test_discounts_leave_own_prices_alone_unless_told() -> None:
    rules = [
        AdjustmentRule(discount("public", "0.5")),
        AdjustmentRule(discount("both", "0.9"), own_prices=True),
    ]
    book = book_of([MODEL]).with_overrides([card("m", "3")], rules)
    assert [a.id for a in resolved(book).adjustments] == ["both"]
    assert [a.id for a in resolved(book, processing="batch").adjustments] == ["public", "both"]


def test_a_deployment_names_a_model() -> None:
    book = book_of([MODEL]).with_overrides(deployments={("acme", "prod-chat"): "m-2026-01-01"})
    found = resolved(book, "Prod-Chat")
    assert (found.model, found.rule, unit_price(found)) == ("m", "deployment", Decimal(9))


def test_a_deployment_of_an_unknown_model_is_unpriced() -> None:
    book = book_of([MODEL]).with_overrides(deployments={("acme", "prod"): "no-such-model"})
    assert book.resolve("acme", "prod", at=AUTUMN) is None


def test_a_deployment_of_the_organization_wins_over_the_operators() -> None:
    other = {**MODEL, "model": "o", "aliases": [], "cards": [{"prices": {"input_tokens": "8"}}]}
    operator = book_of([MODEL, other]).with_overrides(deployments={("acme", "d"): "m"})
    book = operator.with_overrides(deployments={("acme", "d"): "o"})
    assert unit_price(resolved(book, "d")) == 8


def test_an_own_price_can_be_given_for_a_deployment_itself() -> None:
    book = book_of([MODEL]).with_overrides([card("d", "2")], deployments={("acme", "d"): "m"})
    assert unit_price(resolved(book, "d")) == 2
    assert unit_price(resolved(book, "m")) == 9


def test_why_there_is_no_price() -> None:
    ends = {"prices": {"input_tokens": "1"}, "to": "2020-01-01T00:00Z"}
    gone = {"provider": "acme", "model": "gone", "cards": [ends]}
    book = book_of([MODEL, gone]).with_overrides([card("own", "1", service_tier="scale")])

    def reason(model: str, **context: str) -> str | None:
        return book.unpriced_reason("acme", model, at=AUTUMN, **context)

    assert reason("m") is None
    assert reason("nothing") == "unknown_model"
    assert reason("gone") == "no_price_at_date"
    assert reason("m", service_tier="priority") == "no_price_for_context"
    assert reason("own") == "no_price_for_context"


def test_a_card_is_found_by_its_id() -> None:
    book = book_of([MODEL]).with_overrides([card("x", "1", id="mine")])
    public = packaged().resolve("openai", "gpt-4o", at=AUTUMN)
    assert public is not None
    assert packaged().card(public.card.id) == public.card
    own = book.card("mine")
    assert own is not None
    assert own.model == "x"
    assert book.card("prc_none") is None
    assert packaged().card("0") is None  # a text that many cards hold
    second = book.card("prc_m_1")
    assert second is not None
    assert second.processing == "batch"


def test_the_cache_of_series_is_bounded() -> None:
    book = book_of([MODEL])
    limit = book_module.MAX_CACHED_SERIES
    for index in range(limit + 5):
        book.resolve_series("acme", f"unknown-{index}")
    assert len(book._series) <= limit  # pyright: ignore[reportPrivateUsage]
    assert unit_price(resolved(book)) == 9


def test_a_view_does_not_change_the_book_below_it() -> None:
    public = book_of([MODEL])
    public.with_overrides([card("m", "3")])
    assert unit_price(resolved(public)) == 9
