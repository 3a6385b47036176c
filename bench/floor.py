"""The least that pricing a record can cost in Python, by which goals move between machines.

The goals in records a second were set on a machine where a floor of this kind gave a million: one
decoding of the whole batch in C without any check, then for each record the rates of its model at
its date, its tier, and four products. It knows seven models, refuses nothing and is no product.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from bench.calls import MODELS

RATE = 1_000_000
"""Records a second of such a floor where the goals were set."""
DATES = ["2025-01-01", "2026-01-01"]
LONG = 200_000
_TIERS = ((25_000, 12_500, 31_250, 100_000), (50_000, 25_000, 62_500, 150_000))
DATED = [_TIERS, _TIERS]
"""Rates in 1e-10 USD of a token in, read from a cache, written to one, and out; from each date of
DATES, below and above LONG tokens in."""


class Record(msgspec.Struct, gc=False):
    """The fields of a record of `bench.calls`."""

    event_id: str
    timestamp: str
    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    project_id: str
    user_id: str
    environment: str
    latency_ms: int
    metadata: msgspec.Raw
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


class Body(msgspec.Struct, gc=False):
    records: list[Record]


class Floor:
    """The floor on given bodies of `POST /usage/batch`."""

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self._bodies = bodies
        self._prices = {(provider, model): DATED for provider, model, _ in MODELS}
        self._decode = msgspec.json.Decoder(Body).decode

    def costs(self, body: bytes) -> list[int]:
        """In 1e-10 USD."""
        prices = self._prices
        found: list[int] = []
        for record in self._decode(body).records:
            dated = prices[record.provider, record.model]
            tiers = dated[bisect_right(DATES, record.timestamp) - 1]
            prompt, cached = record.prompt_tokens, record.cached_tokens
            given, read, write, out = tiers[prompt > LONG]
            found.append(
                (prompt - cached) * given
                + cached * read
                + record.cache_write_tokens * write
                + record.completion_tokens * out
            )
        return found

    def rate(self) -> float:
        """Records a second of the thread's CPU."""
        count = 0
        began = time.thread_time()
        for body in self._bodies:
            count += len(self.costs(body))
        return count / (time.thread_time() - began)


def goal_text(rate: int) -> str:
    """A goal in records a second as a share of the floor."""
    return f"{rate / RATE:g} of the floor ({rate:,}/s where that gives {RATE:,}/s)"
