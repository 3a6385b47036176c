"""What an update would change."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from llm_cost_ops.core.pricing.diff import Change, diff
from tests.support.price_books import book_of, packaged


def model(name: str, *cards: Any) -> dict[str, Any]:
    return {"provider": "p", "model": name, "cards": list(cards)}


def short(changes: list[Change]) -> list[tuple[str, str, str, Decimal | None, Decimal | None]]:
    return [
        (c.action, c.model, c.kind, c.old.price if c.old else None, c.new.price if c.new else None)
        for c in changes
    ]


def test_equal_books_have_no_changes() -> None:
    assert diff(packaged(), packaged()) == []


def test_a_changed_an_added_and_a_removed_price() -> None:
    old = book_of([model("m", {"prices": {"input_tokens": "1", "output_tokens": "2"}})])
    new = book_of([model("m", {"prices": {"input_tokens": "3", "web_searches": ["4", 1000]}})])
    assert short(diff(old, new)) == [
        ("changed", "m", "input_tokens", Decimal(1), Decimal(3)),
        ("removed", "m", "output_tokens", Decimal(2), None),
        ("added", "m", "web_searches", None, Decimal(4)),
    ]


def test_models_that_appear_and_disappear() -> None:
    old = book_of([model("a", {"prices": {"input_tokens": "1"}})])
    new = book_of([model("b", {"prices": {"input_tokens": "1"}})])
    assert short(diff(old, new)) == [
        ("removed", "a", "input_tokens", Decimal(1), None),
        ("added", "b", "input_tokens", None, Decimal(1)),
    ]


def test_contexts_are_compared_apart() -> None:
    plain = {"prices": {"input_tokens": "2"}}
    batch = {"prices": {"input_tokens": "1"}, "processing": "batch", "region": "eu"}
    changes = diff(book_of([model("m", plain)]), book_of([model("m", plain, batch)]))
    assert len(changes) == 1
    assert (changes[0].action, changes[0].processing, changes[0].region) == ("added", "batch", "eu")
    gone = diff(book_of([model("m", plain, batch)]), book_of([model("m", plain)]))
    assert [change.action for change in gone] == ["removed"]


def test_a_new_source_alone_is_no_change_of_price() -> None:
    old = book_of([model("m", {"prices": {"input_tokens": "1"}, "source": "litellm"})])
    new = book_of([model("m", {"prices": {"input_tokens": "1"}, "source": "overlay"})])
    assert diff(old, new) == []


def test_a_tier_is_part_of_the_price() -> None:
    old = book_of([model("m", {"prices": {"input_tokens": "1"}})])
    new = book_of([model("m", {"prices": {"input_tokens": ["1", 1000000, [[10, "2", False]]]}})])
    assert [change.action for change in diff(old, new)] == ["changed"]
