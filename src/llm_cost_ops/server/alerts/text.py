"""Amounts, shares, instants and names as notices show them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from zoneinfo import ZoneInfo

from llm_cost_ops.core.money import from_e10
from llm_cost_ops.core.period import time_zone
from llm_cost_ops.core.scope import Scope

MAX_NAME = 80
MAX_SCOPE = 200
_CENT = Decimal("0.01")
_SMALL_DIGITS = 4
_WEIRD = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
"""Controls, formats (which turn the direction of text round), surrogates, line ends."""


def name(text: str, most: int = MAX_NAME) -> str:
    """A name that somebody chose: one line, without what would change how its surroundings read."""
    kept = "".join(" " if unicodedata.category(c) in _WEIRD else c for c in text)
    line = " ".join(kept.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def money(value: Decimal, currency: str) -> str:
    """`USD 1,234.56`; of less than a unit four digits that count: `USD 0.001235`."""
    if value and abs(value) < 1:
        places = max(2, _SMALL_DIGITS - 1 - value.adjusted())
        shown = f"{value:.{places}f}".rstrip("0")
        whole, _, fraction = shown.partition(".")
        return f"{currency} {whole}.{fraction.ljust(2, '0')}"
    return f"{currency} {value.quantize(_CENT):,}"


def money_e10(units: int, currency: str) -> str:
    return money(from_e10(units), currency)


def percent(share: Decimal) -> str:
    """A fraction as `81.2 %`."""
    shown = f"{share * 100:.1f}".removesuffix(".0")
    return f"{shown} %"


def count(number: int | Decimal) -> str:
    return f"{int(number):,}"


def calls(number: int) -> str:
    """`1 call`, `2,000 calls`."""
    return f"{number:,} call{'' if number == 1 else 's'}"


def zone_of(time_zone_name: str) -> ZoneInfo:
    return time_zone(time_zone_name)


def minutes(micros: int) -> str:
    """`15 minutes`, `24 hours`, `7 days`."""
    whole = micros // 60_000_000
    for size, word in ((1440, "day"), (60, "hour")):
        if whole >= 2 * size and whole % size == 0:
            return f"{whole // size} {word}s"
    return f"{whole} minute{'' if whole == 1 else 's'}"


def scope(found: Scope) -> str:
    """`model gpt-4o, project a or b`; the whole organization without dimensions."""
    parts = [
        f"{_label(dimension)} {' or '.join(name(value) for value in sorted(values)[:5])}"
        for dimension, values in found.dimensions
    ]
    return name(", ".join(parts), MAX_SCOPE) or "the whole organization"


def _label(dimension: str) -> str:
    return name(dimension.removesuffix("_id").replace("_", " "))


def driver(dimensions: Iterable[str], values: Iterable[str | None]) -> str:
    """`gpt-4o in project chat`."""
    known = [(d, v) for d, v in zip(dimensions, values, strict=True) if v]
    if not known:
        return "not attributed"
    first, *others = known
    parts = [name(first[1])]
    parts += [f"in {_label(dimension)} {name(value)}" for dimension, value in others]
    return " ".join(parts)
