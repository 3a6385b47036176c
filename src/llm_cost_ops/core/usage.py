"""Usage: inclusive counts per usage kind, and the lattice that relates the kinds.

A kind is a point in dimensions (family, direction, modality, token type, cache lifetime). A kind
that adds dimensions to another is its descendant: `cache_audio_read_tokens` is inside both
`cache_read_tokens` and `input_audio_tokens`, which are inside `input_tokens`. Counts are
inclusive: a parent contains its descendants.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from llm_cost_ops.core.errors import UsageError

Quantity = int | Decimal
MAX_QUANTITY = 2**53 - 1
MAX_QUANTITY_PLACES = 6

_MODALITIES = ("text", "audio", "image", "video")


def _token_kinds() -> dict[str, dict[str, str]]:
    kinds: dict[str, dict[str, str]] = {}

    def add(name: str, direction: str, modality: str | None, **extra: str) -> None:
        dims = {"family": "tokens", "direction": direction, **extra}
        if modality:
            dims["modality"] = modality
        kinds[name] = dims

    for modality in (None, *_MODALITIES):
        infix = f"{modality}_" if modality else ""
        add(f"input_{infix}tokens", "input", modality)
        add(f"output_{infix}tokens", "output", modality)
        add(f"cache_{infix}read_tokens", "input", modality, token_type="cache_read")  # noqa: S106
        add(f"cache_{infix}write_tokens", "input", modality, token_type="cache_write")  # noqa: S106
        for ttl in ("5m", "1h"):
            add(
                f"cache_{infix}write_{ttl}_tokens",
                "input",
                modality,
                token_type="cache_write",  # noqa: S106
                cache_ttl=ttl,
            )
        add(f"input_{infix}tool_tokens", "input", modality, token_type="tool")  # noqa: S106
        add(f"output_{infix}reasoning_tokens", "output", modality, token_type="reasoning")  # noqa: S106
        add(f"output_{infix}citation_tokens", "output", modality, token_type="citation")  # noqa: S106
    return kinds


_OTHER_KINDS: dict[str, dict[str, str]] = {
    "input_characters": {"family": "characters", "direction": "input"},
    "input_text_messages": {"family": "messages", "direction": "input", "modality": "text"},
    "audio_seconds": {"family": "durations", "modality": "audio"},
    "input_audio_seconds": {"family": "durations", "direction": "input", "modality": "audio"},
    "output_audio_seconds": {"family": "durations", "direction": "output", "modality": "audio"},
    "output_video_seconds": {"family": "durations", "direction": "output", "modality": "video"},
    "input_pixels": {"family": "pixels", "direction": "input"},
    "output_images": {"family": "images", "direction": "output"},
    "input_document_pages": {"family": "document_pages", "direction": "input"},
    "input_annotated_document_pages": {
        "family": "document_pages",
        "direction": "input",
        "page_type": "annotated",
    },
    "rerank_searches": {"family": "rerank"},
    "web_searches": {"family": "tool_calls", "tool_type": "web_search"},
    "social_searches": {"family": "tool_calls", "tool_type": "social_search"},
    "storage_searches": {"family": "tool_calls", "tool_type": "storage_search"},
    "code_executions": {"family": "tool_calls", "tool_type": "code_execution"},
    "cache_storage_token_hours": {"family": "token_hours"},
    "requests": {"family": "requests"},
}

KINDS: Mapping[str, Mapping[str, str]] = MappingProxyType({**_token_kinds(), **_OTHER_KINDS})


def is_descendant(kind: str, ancestor: str) -> bool:
    """Whether `kind` lies strictly inside `ancestor`."""
    return kind != ancestor and KINDS[ancestor].items() <= KINDS[kind].items()


ANCESTORS: Mapping[str, frozenset[str]] = MappingProxyType(
    {kind: frozenset(other for other in KINDS if is_descendant(kind, other)) for kind in KINDS}
)
TOKEN_KINDS = frozenset(kind for kind, dims in KINDS.items() if dims["family"] == "tokens")
INPUT_TOKEN_KINDS = frozenset(k for k in TOKEN_KINDS if KINDS[k]["direction"] == "input")
FRACTIONAL_KINDS = frozenset(
    kind for kind, dims in KINDS.items() if dims["family"] in ("durations", "token_hours")
)


def check_quantity(kind: str, value: object) -> Quantity:
    """A strict count: an int in 0..2**53-1, or for durations a Decimal with at most six places.

    Raises UsageError naming the kind.
    """
    if kind in FRACTIONAL_KINDS:
        return _check_fractional(kind, value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(kind, "must be an integer")
    if value < 0:
        raise UsageError(kind, "must be greater than or equal to 0")
    if value > MAX_QUANTITY:
        raise UsageError(kind, f"must be at most {MAX_QUANTITY}")
    return value


def _check_fractional(kind: str, value: object) -> Quantity:
    if isinstance(value, str) and 0 < len(value) <= 24 and value.replace(".", "", 1).isdecimal():
        value = Decimal(value) if value.isascii() else value
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise UsageError(kind, "must be a number")
    number = Decimal(value)
    if not number.is_finite() or number < 0:
        raise UsageError(kind, "must be greater than or equal to 0")
    if number > MAX_QUANTITY:
        raise UsageError(kind, f"must be at most {MAX_QUANTITY}")
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -MAX_QUANTITY_PLACES:
        raise UsageError(kind, f"must have at most {MAX_QUANTITY_PLACES} decimal places")
    return int(number) if number == number.to_integral_value() else number.normalize()


def check_usage(usage: Mapping[str, object]) -> dict[str, Quantity]:
    """Validated inclusive counts with zero kinds left out.

    Raises UsageError for an unknown kind or a quantity out of range.
    """
    checked: dict[str, Quantity] = {}
    for kind, value in usage.items():
        if kind not in KINDS:
            raise UsageError(f"usage.{kind}", "is not a known usage kind")
        quantity = check_quantity(kind, value)
        if quantity:
            checked[kind] = quantity
    return checked


def inferred_total(kind: str, usage: Mapping[str, Quantity]) -> Quantity:
    """What `kind` holds at least, from its reported descendants, when it was not reported itself.

    Descendants that split the parent by the same dimensions are disjoint and add up; different
    splits (by modality, by token type) describe the same tokens, so the largest sum stands.
    """
    own = KINDS[kind]
    sums: dict[frozenset[str], Quantity] = {}
    for other, quantity in usage.items():
        if kind in ANCESTORS[other]:
            signature = frozenset(KINDS[other].keys() - own.keys())
            sums[signature] = sums.get(signature, 0) + quantity
    return max(sums.values(), default=0)


def total_input_tokens(usage: Mapping[str, Quantity]) -> int:
    """All input tokens of the request, cache included: the number that selects a price tier.

    A report that sums up several requests only tells their mean, rounded up.
    """
    reported = usage.get("input_tokens")
    total = int(reported if reported is not None else inferred_total("input_tokens", usage))
    requests = int(usage.get("requests", 1))
    return total if requests <= 1 else -(-total // requests)


def check_consistent(usage: Mapping[str, Quantity]) -> None:
    """Refuse counts that contradict each other whatever the price: a part above its whole.

    Parts that split a whole by the same dimensions are disjoint, so their sum is compared too.
    Raises UsageError naming the part.
    """
    for kind, whole in usage.items():
        own = KINDS[kind]
        sums: dict[frozenset[str], Quantity] = {}
        for other, quantity in usage.items():
            if kind not in ANCESTORS[other]:
                continue
            signature = frozenset(KINDS[other].keys() - own.keys())
            sums[signature] = sums.get(signature, 0) + quantity
            if sums[signature] > whole:
                raise UsageError(f"usage.{other}", f"must not exceed {kind}, which contains it")
