"""What a person or a paging service is told, before any channel gives it a form, and how it went.

A notice holds finished text: amounts, shares and instants are written by who knows their currency
and time zone, so that a mail and a card of the same alert say the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["info", "warning", "critical"]
Moment = Literal["trigger", "acknowledge", "resolve", "digest"]


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of a notice, such as "Spent" and "USD 812.40 of 1,000.00 (81.2 %)"."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Driver:
    """What contributed most: a name such as "gpt-4o in project chat", its amount, its share of the
    whole."""

    name: str
    amount: str
    share: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One message. `dedup_key` is the same for all moments of one alert, `summary` one sentence
    that can stand alone, `link` where to look further, `since` when it began; both may be
    unknown. `resolve` and `acknowledge` say in `summary` who or what ended it."""

    moment: Moment
    alert_id: str
    dedup_key: str
    severity: Severity
    title: str
    summary: str
    facts: tuple[Fact, ...] = ()
    drivers: tuple[Driver, ...] = ()
    organization: str = ""
    since: str | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt went. A failure that is not `final` may be tried again, after
    `retry_after_s` when the other side named a wait. `status` is its HTTP or SMTP code, if it
    answered; `detail` is one line without secrets."""

    delivered: bool
    detail: str
    status: int | None = None
    final: bool = False
    retry_after_s: float | None = None
