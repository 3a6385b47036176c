"""A call as the FOCUS rows need it: a value that a store or an importer fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from llm_cost_ops.core.pricing.rate import Line
from llm_cost_ops.core.usage import Quantity

Labels = Mapping[str, object] | Sequence[str] | str
"""Pairs, texts without a value, or the JSON text that `labels.key_values` made of either."""


class FocusCall(NamedTuple):
    """One call, or one correction of a call.

    Instants are microseconds since 1970 UTC, costs units of 1e-10 of `currency`. `lines` are the
    billed kinds at the prices that were paid, `list_lines` the same kinds at public prices where a
    contract changed some. `usage` is what no line counts, in quantities that do not overlap: kinds
    without a known price, or usage of a call whose cost is known only as a whole. A cost of None is
    not known; it is not zero.

    `requests` is how many calls the record stands for: negative in a reversal, 0 for a correction
    of an amount. `corrects_closed` says that the billing period of the call was closed when it was
    corrected; `billing_period` is then the one that was open. `context_tier` is from
    `sku.context_tier`. `meters_cache` says that the provider prices cached input apart.
    """

    id: str
    occurred_us: int
    provider: str
    model: str
    currency: str
    organization_id: str
    cost_e10: int | None
    cost_status: str
    organization_name: str | None = None
    list_cost_e10: int | None = None
    lines: tuple[Line, ...] = ()
    list_lines: tuple[Line, ...] = ()
    usage: tuple[tuple[str, Quantity], ...] = ()
    requests: int = 1
    service_tier: str | None = None
    processing: str | None = None
    region: str | None = None
    context_tier: str | None = None
    meters_cache: bool = False
    model_developer: str | None = None
    project_id: str | None = None
    project_name: str | None = None
    team: str | None = None
    user: str | None = None
    cost_center: str | None = None
    environment: str | None = None
    feature: str | None = None
    credential_id: str | None = None
    credential_name: str | None = None
    tags: Labels = ()
    metadata: Mapping[str, object] | str | None = None
    price_version: str | None = None
    price_rule: str | None = None
    is_correction: bool = False
    corrects_closed: bool = False
    billing_period: tuple[int, int] | None = None
    invoice_id: str | None = None
    invoice_issuer: str | None = None


def reversal_of(call: FocusCall) -> FocusCall:
    """The correction that undoes the call: quantities, amounts and costs with the other sign, at
    the same prices. The rows of a call and of its reversal sum to zero in every column of costs and
    quantities."""
    return call._replace(
        cost_e10=None if call.cost_e10 is None else -call.cost_e10,
        list_cost_e10=None if call.list_cost_e10 is None else -call.list_cost_e10,
        lines=tuple(map(_negative, call.lines)),
        list_lines=tuple(map(_negative, call.list_lines)),
        usage=tuple((kind, -quantity) for kind, quantity in call.usage),
        requests=-call.requests,
        is_correction=True,
    )


def _negative(line: Line) -> Line:
    return line._replace(quantity=-line.quantity, amount=-line.amount)
