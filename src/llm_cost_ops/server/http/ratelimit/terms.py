"""Which limits hold for whom: the installation's settings, and an organization's tier in place of
them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from llm_cost_ops.server.http.ratelimit.meters import Limit
from llm_cost_ops.server.settings import RateLimitSettings
from llm_cost_ops.server.settings.throttling import parse_limits

MINUTE = 60
HOUR = 3_600
TIERS: Mapping[str, int | None] = {
    "free": 10,
    "starter": 100,
    "professional": 1_000,
    "enterprise": None,
}
"""Requests of the whole organization in a minute; those of `enterprise` are agreed one by one."""
MAX_AMOUNT = 10**12
SETTING = "rate_limit"


@dataclass(frozen=True, slots=True)
class Terms:
    """The limits of one organization: of each of its keys and users, and of itself."""

    key: tuple[Limit, ...]
    user: tuple[Limit, ...]
    organization: tuple[Limit, ...]
    ingest_key: tuple[Limit, ...]
    ingest_organization: tuple[Limit, ...] = ()


def limits_of(texts: Sequence[str]) -> tuple[Limit, ...]:
    """`("100/minute", "1000/hour")` as limits. Raises ValueError."""
    return tuple(Limit(amount, seconds) for amount, seconds in parse_limits(texts))


def installed_terms(settings: RateLimitSettings) -> Terms:
    """Those of an organization whose own settings say nothing."""
    key = limits_of(settings.default_limits)
    if not key:
        key = (Limit(settings.requests_per_minute, MINUTE),)
        if settings.requests_per_hour is not None:
            key += (Limit(settings.requests_per_hour, HOUR),)
    return Terms(
        key=key,
        user=limits_of(settings.user_limits),
        organization=limits_of(settings.organization_limits),
        ingest_key=(Limit(settings.ingest_records_per_minute, MINUTE),),
    )


def terms_of(installed: Terms, settings: Mapping[str, object]) -> Terms:
    """Those of an organization with these settings: `rate_limit.tier` is one of `TIERS`, and
    `requests_per_minute`, `requests_per_hour` and `ingest_records_per_minute` are its own numbers.

    A tier is of the organization, so its keys have no further limit each. What cannot be read is
    as if it were not there.
    """
    named = settings.get(SETTING)
    if not isinstance(named, Mapping):
        return installed
    given = cast("Mapping[str, object]", named)
    tier = given.get("tier")
    per_minute = _amount(given.get("requests_per_minute"))
    if per_minute is None and isinstance(tier, str):
        per_minute = TIERS.get(tier)
    own = tuple(
        Limit(amount, seconds)
        for amount, seconds in (
            (per_minute, MINUTE),
            (_amount(given.get("requests_per_hour")), HOUR),
        )
        if amount is not None
    )
    records = _amount(given.get("ingest_records_per_minute"))
    return Terms(
        key=installed.key if per_minute is None else (),
        user=installed.user,
        organization=own or installed.organization,
        ingest_key=installed.ingest_key if records is None else (),
        ingest_organization=() if records is None else (Limit(records, MINUTE),),
    )


def _amount(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 < value <= MAX_AMOUNT else None
