"""Strict reading of single counts, and the sums that a set of inclusive counts must respect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.usage import (
    ANCESTORS,
    KINDS,
    MAX_QUANTITY,
    MAX_QUANTITY_PLACES,
    Quantity,
    check_consistent,
)

_STEP = Decimal(1).scaleb(-MAX_QUANTITY_PLACES)
_MAX_PLANS = 4096

_SumCheck = tuple[str, str, tuple[str, ...]]
"""A whole, and the disjoint parts, of which there is at least one, that must not exceed it."""
_PLANS: dict[tuple[str, ...], tuple[_SumCheck, ...]] = {}


def whole(value: object, path: str) -> int:
    """A count as JSON writes it: an int in 0..2**53-1, no bool. Raises UsageError(path, ...)."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(path, "must be an integer")
    if value < 0:
        raise UsageError(path, "must be greater than or equal to 0")
    if value > MAX_QUANTITY:
        raise UsageError(path, f"must be at most {MAX_QUANTITY}")
    return value


def integral(value: object, path: str) -> int:
    """A count of an API whose schema says number, so that its SDKs write 13.0 for 13."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    elif isinstance(value, Decimal) and value.is_finite() and value.adjusted() < 20:
        value = int(value) if value == value.to_integral_value() else value
    return whole(value, path)


def header(value: object, path: str) -> int:
    """A count of a response header: ASCII digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:
        value = int(value)
    return whole(value, path)


def seconds(value: object, path: str) -> Quantity:
    """A duration in seconds, kept to the microsecond (floats of audio lengths carry noise)."""
    number = _number(value)
    if number is None or not number.is_finite():
        raise UsageError(path, "must be a number of seconds")
    if number < 0:
        raise UsageError(path, "must be greater than or equal to 0")
    if number > MAX_QUANTITY:
        raise UsageError(path, f"must be at most {MAX_QUANTITY}")
    rounded = number.quantize(_STEP, rounding=ROUND_HALF_EVEN)
    return int(rounded) if rounded == rounded.to_integral_value() else rounded.normalize()


def _number(value: object) -> Decimal | None:
    """Exact value of a JSON number or of a short decimal text; a float by its shortest form."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, str) and len(value) <= 24:
        try:
            return Decimal(value)
        except InvalidOperation:
            return None
    return None


def check_sums(usage: Mapping[str, Quantity]) -> None:
    """`check_consistent` by a plan per set of kinds, as every response passes here.

    Raises the UsageError of `check_consistent` for a part, or disjoint parts, above their whole.
    """
    kinds = tuple(usage)
    plan = _PLANS.get(kinds)
    if plan is None:
        plan = _sum_checks(kinds)
        if len(_PLANS) < _MAX_PLANS:
            _PLANS[kinds] = plan
    for whole_kind, first, others in plan:
        total = usage[first]
        for part in others:
            total += usage[part]
        if total > usage[whole_kind]:
            check_consistent(usage)


def _sum_checks(kinds: Sequence[str]) -> tuple[_SumCheck, ...]:
    checks: list[_SumCheck] = []
    for whole_kind in kinds:
        splits: dict[frozenset[str], list[str]] = {}
        for part in kinds:
            if whole_kind in ANCESTORS[part]:
                extra = frozenset(KINDS[part].keys() - KINDS[whole_kind].keys())
                splits.setdefault(extra, []).append(part)
        checks += [(whole_kind, first, tuple(others)) for first, *others in splits.values()]
    return tuple(checks)
