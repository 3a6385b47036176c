"""Settings of the rate limits: how often a key, user, organization or address may ask."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from llm_cost_ops.server.settings.spec import setting

_LIMIT = re.compile(
    r"(?P<amount>[1-9][0-9]{0,11}) ?(?:/|per) ?(?P<count>[1-9][0-9]{0,3})? ?"
    r"(?P<unit>second|minute|hour|day)s?"
)
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_FORM = "limits such as 100/minute, 1000/hour or 10000/day"


def parse_limit(text: str) -> tuple[int, int]:
    """The amount and the seconds of `100/minute`, `100 per 5 minutes`. Raises ValueError."""
    match = _LIMIT.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(text)
    return int(match["amount"]), int(match["count"] or 1) * _SECONDS[match["unit"]]


def parse_limits(texts: Iterable[str]) -> tuple[tuple[int, int], ...]:
    """Those of several texts, in which `;` may separate limits. Raises ValueError."""
    return tuple(parse_limit(one) for text in texts for one in text.split(";") if one.strip())


def _limits(texts: tuple[str, ...]) -> str | None:
    try:
        parse_limits(texts)
    except ValueError:
        return _FORM
    return None


def _memcached_url(value: str) -> str | None:
    known = re.fullmatch(r"memcached://[A-Za-z0-9_.:,\[\]/-]+", value, re.ASCII)
    return None if known else "memcached://HOST:PORT[,HOST:PORT]"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitSettings:
    """`[rate_limit]` (also `[security.rate_limit]`): requests, records and failed credentials."""

    enabled: bool = setting(
        True,
        "Limit how often a key, user, organization or address may ask.",
        env=("RATE_LIMIT_ENABLED", "RATELIMIT_ENABLED"),
        files=("security.rate_limit.enabled",),
    )
    requests_per_minute: int = setting(
        100,
        "Requests of one key in a minute; reports of usage and reservations count for themselves.",
        env=("RATE_LIMIT_REQUESTS", "RATE_LIMIT_PER_MINUTE", "RATELIMIT_REQUESTS_PER_MINUTE"),
        low=1,
        high=10**9,
    )
    requests_per_hour: int | None = setting(
        None,
        "Requests of one key in an hour, beside those of a minute.",
        env=("RATE_LIMIT_PER_HOUR",),
        low=1,
        high=10**9,
    )
    default_limits: tuple[str, ...] = setting(
        (),
        "All limits of one key in place of the two above: `100/minute`, `1000/hour`, `10000/day`.",
        files=("security.rate_limit.default_limits",),
        check=_limits,
    )
    user_limits: tuple[str, ...] = setting(
        (), "Limits of one user over all keys and sessions.", check=_limits
    )
    organization_limits: tuple[str, ...] = setting(
        (),
        "Limits of one organization over all its keys; a tier in its settings replaces them.",
        check=_limits,
    )
    address_limits: tuple[str, ...] = setting(
        (),
        "Limits of the accepted requests from one address; IPv6 counts by its first 64 bits.",
        check=_limits,
    )
    ingest_records_per_minute: int = setting(
        1_000_000,
        "Records that one key may report in a minute; a reservation counts as one.",
        low=1,
        high=10**12,
    )
    failures_per_minute: int = setting(
        20,
        "Wrong credentials from one address in a minute; further ones are answered 429. Valid "
        "credentials from there are not affected.",
        low=1,
        high=10**6,
    )
    storage: str = setting(
        "auto",
        "Where counts are shared by several processes; `auto` is Redis where redis.url is set, and "
        "otherwise the memory of each process.",
        choices=("auto", "memory", "redis", "memcached"),
    )
    memcached_url: str | None = setting(
        None,
        "Memcached for `storage = memcached`, as memcached://HOST:PORT.",
        env=("MEMCACHED_URL",),
        check=_memcached_url,
    )
    sync_seconds: float = setting(
        0.2,
        "How often a process shares its counts; in that time each may admit the rest of a limit.",
        low=0.01,
        high=10,
    )
    timeout_seconds: float = setting(
        0.5,
        "How long the store of the counts may take; no request waits for it.",
        low=0.01,
        high=10,
    )
