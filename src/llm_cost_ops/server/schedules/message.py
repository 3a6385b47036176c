"""What people are told of a file: by mail, with the file or with a link, and in chats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from zoneinfo import ZoneInfo

from llm_cost_ops.core.instant import format_minute, from_micros
from llm_cost_ops.core.period import DAY_US
from llm_cost_ops.server.delivery.letter import Attachment, Letter
from llm_cost_ops.server.delivery.notice import Fact, Notice
from llm_cost_ops.server.delivery.wording import PRODUCT

ACTION = "Download the file"
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Told:
    """A file as people are told of it. `link_until` in microseconds."""

    schedule: str
    organization: str
    run_id: str
    file: str
    size_bytes: int
    period: str
    facts: Mapping[str, str]
    zone: ZoneInfo
    link: str | None
    link_until: int | None

    @property
    def title(self) -> str:
        return f"{self.schedule}: {self.period}"

    def lines(self) -> list[tuple[str, str]]:
        """What stands beside the file."""
        size = f"{self.file} ({size_text(self.size_bytes)})"
        return [("Period", self.period), *self.facts.items(), ("File", size)]


def letter_of(told: Told, recipient: str, part_id: str, attachment: Attachment | None) -> Letter:
    """The mail: with the file, or with a link to it."""
    facts = " · ".join(f"{label}: {value}" for label, value in told.lines())
    first = f"{told.schedule} of {told.organization} for {told.period}."
    if attachment is not None:
        how = "The file is attached."
    elif told.link is not None and told.link_until is not None:
        until = format_minute(told.link_until, told.zone)
        how = f"The file is too large for a mail. The link works without signing in until {until}."
    else:
        how = (
            f"The file is too large for a mail. Fetch it with: "
            f"cost-ops schedules download {told.run_id}"
        )
    return Letter(
        recipient,
        f"{told.title} ({PRODUCT})",
        (first, facts, how),
        ACTION,
        None if attachment is not None else told.link,
        sha256(part_id.encode()).hexdigest()[:32],
        attachment,
    )


def notice_of(told: Told) -> Notice:
    """The message for a chat."""
    facts = [Fact(label, value) for label, value in told.lines()]
    if told.link_until is not None:
        facts.append(Fact("Link works until", format_minute(told.link_until, told.zone)))
    return Notice(
        moment="digest",
        alert_id=told.run_id,
        dedup_key=told.run_id,
        severity="info",
        title=told.title,
        summary=f"The file {told.file} is ready.",
        facts=tuple(facts),
        organization=told.organization,
        link=told.link,
    )


def failure_letter(
    recipient: str, *, schedule: str, schedule_id: str, reason: str, key: str, paused: bool
) -> Letter:
    """What the owner is told when a run failed for good, or the schedule rests."""
    happened = "is paused" if paused else "could not be delivered"
    what, command = ("Go on with it", "resume") if paused else ("Look at it", "runs")
    return Letter(
        recipient,
        f"{schedule} {happened} ({PRODUCT})",
        (
            f"The scheduled delivery {schedule} {happened}: {reason}.",
            f"{what}: cost-ops schedules {command} {schedule_id}",
        ),
        ACTION,
        None,
        sha256(f"failure {key}".encode()).hexdigest()[:32],
    )


def size_text(size_bytes: int) -> str:
    if size_bytes < _KIB:
        return f"{size_bytes} bytes"
    if size_bytes < _KIB * _KIB:
        return f"{size_bytes / _KIB:.1f} KiB"
    return f"{size_bytes / _KIB / _KIB:.1f} MiB"


def period_text(start_us: int, end_us: int, zone: ZoneInfo) -> str:
    """A period for people: days where it is made of whole ones."""
    start, last = (from_micros(at).astimezone(zone) for at in (start_us, end_us - 1))
    whole = _is_midnight(start_us, zone) and _is_midnight(end_us, zone)
    if not whole:
        return f"{format_minute(start_us, zone)} to {format_minute(end_us, zone)}"
    if start.date() == last.date():
        return start.date().isoformat()
    return f"{start.date().isoformat()} to {last.date().isoformat()}"


def period_name(start_us: int, end_us: int, zone: ZoneInfo) -> str:
    """The same as part of a file's name."""
    if _is_midnight(start_us, zone) and _is_midnight(end_us, zone):
        return period_text(start_us, end_us, zone).replace(" to ", "-to-")
    if end_us - start_us >= DAY_US:
        return f"{from_micros(start_us):%Y%m%dT%H%MZ}-to-{from_micros(end_us):%Y%m%dT%H%MZ}"
    return f"{from_micros(start_us):%Y%m%dT%H%MZ}"


def _is_midnight(micros: int, zone: ZoneInfo) -> bool:
    shown = from_micros(micros).astimezone(zone)
    return (shown.hour, shown.minute, shown.second, shown.microsecond) == (0, 0, 0, 0)
