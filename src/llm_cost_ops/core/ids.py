"""Prefixed, time-sortable ids: 26 Crockford base32 digits after the prefix (`usg_01J…`).

48 bits of milliseconds, 62 bits of randomness shared by one batch, 20 bits of position. Rows of
one batch are therefore neighbours in every index and can be named by their first and last id.
"""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
BATCH_LIMIT = 1 << 20
_DIGITS = 26
_SUFFIXES: list[str] = []


def _encode(number: int, digits: int) -> str:
    out = [""] * digits
    for index in range(digits - 1, -1, -1):
        out[index] = ALPHABET[number & 31]
        number >>= 5
    return "".join(out)


def batch_stem(prefix: str, time_ms: int, entropy: int) -> str:
    """What all ids of a batch share: prefix, time (10 digits), randomness (12 digits)."""
    return f"{prefix}_{_encode(time_ms, 10)}{_encode(entropy, 12)}"


def batch_ids(stem: str, count: int) -> list[str]:
    """`count` ids in ascending order under one stem. Raises ValueError above BATCH_LIMIT."""
    if count > BATCH_LIMIT:
        raise ValueError(f"a batch has at most {BATCH_LIMIT} ids")
    while len(_SUFFIXES) < count:
        _SUFFIXES.append(_encode(len(_SUFFIXES), 4))
    return [stem + suffix for suffix in _SUFFIXES[:count]]


def single_id(prefix: str, time_ms: int, entropy: int) -> str:
    """One id; `entropy` gives 80 random bits."""
    return f"{prefix}_{_encode(time_ms, 10)}{_encode(entropy, 16)}"


def is_id(text: str, prefix: str) -> bool:
    """Whether the text has the form of an id with this prefix."""
    stem, _, digits = text.partition("_")
    return stem == prefix and len(digits) == _DIGITS and all(c in ALPHABET for c in digits)
