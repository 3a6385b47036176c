"""Numbers in sentences."""

from __future__ import annotations


def calls(count: int, verb: str = "", verb_of_many: str = "") -> str:
    """`1 call`, `2 calls`; with verbs `1 call has`, `2 calls have`."""
    noun, said = ("call", verb) if count == 1 else ("calls", verb_of_many)
    return f"{count} {noun} {said}".rstrip()
