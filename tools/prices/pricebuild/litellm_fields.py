"""LiteLLM's field names: base price field, optional threshold, optional price context."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

from .rows import HOUR, MILLION, THOUSAND, Price

TOKEN_FIELDS = {
    "input_cost_per_token": "input_tokens",
    "output_cost_per_token": "output_tokens",
    "cache_read_input_token_cost": "cache_read_tokens",
    "cache_creation_input_token_cost": "cache_write_tokens",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h_tokens",
    "cache_read_input_audio_token_cost": "cache_audio_read_tokens",
    "cache_read_input_image_token_cost": "cache_image_read_tokens",
    "input_cost_per_audio_token": "input_audio_tokens",
    "output_cost_per_audio_token": "output_audio_tokens",
    "input_cost_per_image_token": "input_image_tokens",
    "output_cost_per_image_token": "output_image_tokens",
    "input_cost_per_video_token": "input_video_tokens",
    "output_cost_per_video_token": "output_video_tokens",
    "output_cost_per_reasoning_token": "output_reasoning_tokens",
    "citation_cost_per_token": "output_citation_tokens",
    "input_cost_per_character": "input_characters",
}
PAGE_FIELDS = {
    "ocr_cost_per_page": "input_document_pages",
    "annotation_cost_per_page": "input_annotated_document_pages",
}
CONTEXTS = {
    None: ("standard", "realtime"),
    "batches": ("standard", "batch"),
    "flex": ("flex", "realtime"),
    "priority": ("priority", "realtime"),
    "ultrafast": ("ultrafast", "realtime"),
    "balanced": ("balanced", "realtime"),
    "decisions": ("decisions", "realtime"),
}
_BASES = "|".join(sorted({*TOKEN_FIELDS, *PAGE_FIELDS}, key=len, reverse=True))
_FIELD = re.compile(
    rf"^({_BASES})(?:_above_(\d+)k_tokens)?(?:_({'|'.join(c for c in CONTEXTS if c)}))?$"
)
_FLOAT_DIGITS = 15
"""A price with so many digits is a binary fraction that was printed: 4.5000000000000003e-07."""
_TWELVE_DIGITS = Context(prec=12, rounding=ROUND_HALF_EVEN)
_ROUNDED_DIGITS = 9
"""A per-second price with at least this many digits is a rounded price per hour or minute."""


class Field(NamedTuple):
    kind: str
    above: int | None
    context: tuple[str, str]
    per: int


def parse_field(name: str) -> Field | None:
    """What a price field means, or None when it is not one of the plain kinds."""
    match = _FIELD.match(name)
    if match is None:
        return None
    base, thousands, context = match.groups()
    above = int(thousands) * 1000 if thousands else None
    if base in PAGE_FIELDS:
        return Field(PAGE_FIELDS[base], above, CONTEXTS[context], THOUSAND)
    return Field(TOKEN_FIELDS[base], above, CONTEXTS[context], MILLION)


def exact(value: object) -> Decimal | None:
    """A JSON number read as its decimal text. None for what is not a price."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    if len(number.as_tuple().digits) >= _FLOAT_DIGITS:
        number = _TWELVE_DIGITS.create_decimal(number)
    return number if number.is_finite() and number >= 0 else None


def per_unit(value: Decimal, per: int) -> Price:
    """A price for one unit as a price for `per` units, exactly."""
    return Price(value * per, per)


def per_second(value: Decimal) -> Price:
    """A price per second as one per hour.

    Providers publish such prices per minute or hour, which rarely terminate per second; their
    rounded quotient is put back to the six decimals of the published price.
    """
    hourly = value * HOUR
    if len(value.normalize().as_tuple().digits) >= _ROUNDED_DIGITS:
        hourly = hourly.quantize(Decimal("0.000001"), rounding=ROUND_HALF_EVEN)
    return Price(hourly.normalize(), HOUR)
