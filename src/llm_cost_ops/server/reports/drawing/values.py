"""Cells and texts as a reader sees them: exact digits, never by way of binary numbers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from llm_cost_ops.core.instant import format_minute
from llm_cost_ops.core.money import EXACT, PLACES, from_e10, plain
from llm_cost_ops.core.report.document import Cell, Kind

UNKNOWN = "unknown"
MAX_TEXT = 600
"""Characters of one text in PDF; the other forms have the whole."""
_CUT = "… [cut]"
_MINOR = {
    **dict.fromkeys("CLP ISK JPY KRW PYG UGX VND XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
}
_MOST_PLACES = 6
_NOT_SHOWN = "�"
_HIDDEN = frozenset(
    "\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
)
NUMERIC: frozenset[Kind] = frozenset(("count", "money", "number", "ratio"))


def clean(text: str) -> str:
    """One line that any form can hold: white space is one blank, a control character, a lone
    surrogate, a direction override or a noncharacter is drawn as U+FFFD."""
    return " ".join("".join(map(_printable, text)).split())


def paragraphs(text: str) -> list[str]:
    """The lines of a text, each clean; empty ones are left out."""
    return [line for each in text.splitlines() if (line := clean(each))]


def _printable(character: str) -> str:
    code = ord(character)
    if character in "\t\n\r\x0b\x0c":
        return " "
    bad = (
        code < 0x20
        or 0x7F <= code < 0xA0
        or 0xD800 <= code < 0xE000
        or 0xFDD0 <= code <= 0xFDEF
        or code & 0xFFFE == 0xFFFE
        or character in _HIDDEN
    )
    return _NOT_SHOWN if bad else character


def cut(text: str, most: int = MAX_TEXT) -> str:
    """At most so many characters; a text that was cut says so."""
    return text if len(text) <= most else text[: most - len(_CUT)] + _CUT


def zone_of(name: str) -> tzinfo:
    """The time zone of an IANA name; UTC for one that is not known here."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def digits(kind: Kind, value: Cell) -> Decimal | None:
    """The number of a numeric cell: money in whole units of its currency; None if not known."""
    if value is None or isinstance(value, str | date):
        return None
    if kind == "money" and isinstance(value, int):
        return from_e10(value)
    return Decimal(value)


def places_of(kind: Kind, currency: str | None, values: Iterable[Cell]) -> int:
    """Decimal places that show each value as something other than zero, if six are enough:
    2 (or what the currency has), 4 or 6 for money; as many as there are, up to 6, for numbers."""
    numbers = [number for value in values if (number := digits(kind, value))]
    if kind == "ratio":
        return 1
    if kind == "count":
        return 0
    if kind == "money":
        fewest = _MINOR.get(currency or "", 2)
        smallest = min((abs(number) for number in numbers), default=Decimal(1))
        steps = [fewest, *(step for step in (4, _MOST_PLACES) if step > fewest)]
        fitting = (step for step in steps if smallest >= Decimal(1).scaleb(-step))
        return next(fitting, _MOST_PLACES)
    return max((min(_MOST_PLACES, _decimals(number)) for number in numbers), default=0)


def places_alone(kind: Kind, currency: str | None, value: Cell) -> int:
    """Places of a value that stands for itself: for money two digits that are not zero."""
    less = value // 10 if kind == "money" and isinstance(value, int) and value > 0 else value
    return places_of(kind, currency, (less,))


def _decimals(number: Decimal) -> int:
    return len(plain(number).partition(".")[2])


def rounded(number: Decimal, places: int) -> str:
    """Digits with thousands separators, rounded half-even; what is smaller than the last place but
    not zero is shown as `<` (or `> -`) of it."""
    step = Decimal(1).scaleb(-places)
    if number and abs(number) <= step / 2:  # half-even rounds the very half to zero
        return f"<{step:f}" if number > 0 else f"> -{step:f}"
    text = f"{number.quantize(step, context=EXACT):,f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.,") else text


def shown(
    kind: Kind,
    value: Cell,
    *,
    currency: str | None = None,
    places: int | None = None,
    zone: tzinfo = UTC,
) -> str:
    """A cell as text; `places` None means as many as this value alone needs, for money two digits
    that are not zero."""
    if value is None:
        return UNKNOWN
    if kind == "instant" and isinstance(value, int):
        return format_minute(value, zone)
    number = digits(kind, value) if kind in NUMERIC else None
    if number is None:
        return value.isoformat() if isinstance(value, date) else clean(str(value))
    if places is None:
        places = places_alone(kind, currency, value)
    if kind == "ratio":
        return f"{rounded(number.scaleb(2, EXACT), places)} %"
    return rounded(number, places)


def exact(value: int) -> str:
    """Money (1e-10 of its currency) with separators and all ten places."""
    return f"{from_e10(value).quantize(Decimal(1).scaleb(-PLACES)):,f}"


def change_text(change: Decimal | None) -> str | None:
    """A relative change with its sign: `+12.3 %`."""
    if change is None:
        return None
    text = shown("ratio", change)
    return f"+{text}" if change > 0 and text[:1].isdigit() else text


def compact(number: Decimal) -> str:
    """For axes and cells of charts: three digits and k, M, G or T: `1.23k`, `45.6M`, `0.0012`."""
    size = abs(number)
    for power, letter in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if size >= Decimal(1).scaleb(power):
            return f"{_three(number.scaleb(-power, EXACT))}{letter}"
    return _three(number)


def _three(number: Decimal) -> str:
    if not number:
        return "0"
    places = max(0, 2 - number.adjusted())
    if places > PLACES:
        return f"{number:.1E}"
    return plain(number.quantize(Decimal(1).scaleb(-places), context=EXACT))
