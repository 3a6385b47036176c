"""Estimates without a server: the core's functions over the packaged price book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from llm_cost_ops.client import wire
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.resources.estimates import estimate_items
from llm_cost_ops.client.rows import Estimate
from llm_cost_ops.exceptions import ValidationError

if TYPE_CHECKING:
    from llm_cost_ops.core.pricing.book import PriceBook


def estimate_offline(
    items: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
    fields: Mapping[str, Any],
    *,
    now: datetime,
    book: PriceBook | None = None,
) -> Page[Estimate]:
    """One estimate per item, in order. `now` prices items without a timestamp."""
    from llm_cost_ops.core.errors import DomainError
    from llm_cost_ops.core.estimate import estimate_item

    prices = book or packaged_book()
    page: Page[Estimate] = Page()
    for item in estimate_items(items, fields):
        try:
            page.append(Estimate(estimate_item(wire.prepare(item), prices, now=now)))
        except DomainError as error:
            raise ValidationError(
                error.message, field_errors=error.field_errors, status_code=0, code=error.code
            ) from error
    return page


@lru_cache(maxsize=1)
def packaged_book() -> PriceBook:
    """The price book of this distribution, read once per process."""
    from llm_cost_ops.core.pricing.book import PriceBook

    return PriceBook.packaged()
