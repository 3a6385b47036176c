"""What an answer tells of the limits: the tightest window, and when to come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llm_cost_ops.server.http.ratelimit.meters import MICROS, Meter

HEADERS = (
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-RateLimit-Window",
)
STATE = "rate_limit"
"""Where a request's state keeps its standing."""


@dataclass(slots=True)
class Standing:
    """`reset_s` is seconds since 1970 UTC: the end of the window, or while nothing remains the
    moment at which the next request fits. `wait_s` is 0 for what was let through."""

    limit: int
    remaining: int
    reset_s: int
    window_s: int
    wait_s: int = 0

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """As an answer carries them."""
        return (
            (b"x-ratelimit-limit", b"%d" % self.limit),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % self.reset_s),
            (b"x-ratelimit-window", b"%d" % self.window_s),
        )


def take(meters: Sequence[Meter], count: int, now_us: int) -> Standing | None:
    """Count `count` in all meters if it fits in each, otherwise in none; the standing afterwards
    in the tightest of them, None without meters."""
    tightest: Meter | None = None
    least = 0
    for meter in meters:
        used = meter.used(now_us)
        left = meter.amount - used - count
        if left < 0 and (used or count <= meter.amount):
            return _refused(meters, count, now_us)
        if tightest is None or left < least:
            tightest, least = meter, left
    if tightest is None:
        return None
    for meter in meters:
        meter.current += count
        meter.unshared += count
    return _standing(tightest, max(0, least), now_us)


def _standing(meter: Meter, remaining: int, now_us: int) -> Standing:
    if remaining:
        reset_s = (now_us // meter.width + 1) * meter.seconds
    else:
        reset_s = _up(now_us + meter.wait_us(1, now_us))
    return Standing(meter.amount, remaining, reset_s, meter.seconds)


def _refused(meters: Sequence[Meter], count: int, now_us: int) -> Standing:
    """Of the limit for which one has to wait longest."""
    meter = max(meters, key=lambda one: one.wait_us(count, now_us))
    wait_us = meter.wait_us(count, now_us)
    remaining = max(0, meter.amount - meter.used(now_us))
    return Standing(
        meter.amount, remaining, _up(now_us + wait_us), meter.seconds, max(1, _up(wait_us))
    )


def _up(micros: int) -> int:
    """Whole seconds, rounded up."""
    return -(-micros // MICROS)
