"""Channels of an organization: where notices go, with what secrets, for which severities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.alerts.fields import Fields, RuleError, opened
from llm_cost_ops.server.alerts.rules import SEVERITIES
from llm_cost_ops.server.alerts.store import Row, new_id
from llm_cost_ops.server.alerts.tables import alert_channels
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.delivery.channels import (
    CHANNELS,
    Channel,
    WrongChannel,
    called_url,
    channel_fields,
    parts,
    read_channel,
    shown_fields,
)
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.delivery.target import Guard, TargetRefused

MAX_CHANNELS = 200
_C = alert_channels.c
_OWN = ("name", "type", "severities", "default", "enabled")
_SYNONYMS: Mapping[str, str] = {"mail": "email", "smtp": "email", "msteams": "teams",
                                "microsoft_teams": "teams"}  # fmt: skip


class ChannelUnknown(DomainError):
    """No channel of the organization has this id or name."""

    code = "NOT_FOUND"


class ChannelConflict(DomainError):
    """The name is taken, or there are too many."""

    code = "CONFLICT"


@dataclass(frozen=True, slots=True)
class Given:
    """A channel as somebody described it: what is ours, and the fields of its kind."""

    name: str
    kind: str
    severities: tuple[str, ...]
    is_default: bool
    enabled: bool
    channel: Channel


def read_given(given: Mapping[str, object], before: Given | None = None) -> Given:
    """A description, or a change of the one `before`. Raises RuleError naming the field."""
    values = opened(given, "config")
    fields = Fields({name: values.pop(name) for name in _OWN if name in values})
    name = fields.text("name", required=before is None) or (before.name if before else "")
    kind = fields.text("type", required=before is None) or (before.kind if before else "")
    kind = _SYNONYMS.get(kind, kind)
    if before is not None and kind != before.kind:
        raise RuleError("cannot be changed: make another channel", field="type")
    severities = fields.texts("severities", most=len(SEVERITIES))
    if severities is None:
        severities = list(before.severities) if before else list(SEVERITIES)
    for severity in severities:
        if severity not in SEVERITIES:
            raise RuleError(f"must be among: {', '.join(SEVERITIES)}", field="severities")
    default = fields.flag("default", default=before.is_default if before else True)
    enabled = fields.flag("enabled", default=before.enabled if before else True)
    own = channel_fields(before.channel) if before else {}
    channel = _channel(kind, {**own, **values})
    return Given(name, kind, tuple(severities), bool(default), bool(enabled), channel)


def _channel(kind: str, fields: Mapping[str, object]) -> Channel:
    if kind not in CHANNELS:
        raise RuleError(f"must be one of: {', '.join(CHANNELS)}", field="type")
    try:
        return read_channel(kind, fields)
    except WrongChannel as wrong:
        name, text = next(iter(wrong.field_errors.items()))
        verb = "" if text.startswith(("is ", "must ")) else "must be "
        raise RuleError(verb + text, field=name[:64]) from None


def examine(fields: Mapping[str, object], guard: Guard) -> None:
    """Look up the name of a given URL, outside any transaction. Raises RuleError."""
    url = opened(fields, "config").get("url")
    if isinstance(url, str):
        try:
            guard.examine(url)
        except TargetRefused as refused:
            raise RuleError(str(refused), field="url") from None


def judge(given: Given, guard: Guard, before: Given | None = None) -> None:
    """Raises RuleError for a channel that calls what is not called. A URL that was there before
    stays: it must be possible to switch the channel off."""
    url = called_url(given.channel)
    if url is None or (before is not None and url == called_url(before.channel)):
        return
    try:
        guard.judge(url)
    except TargetRefused as refused:
        raise RuleError(str(refused), field="url") from None


def add(
    session: WriteSession,
    organization_id: str,
    given: Given,
    seal: Vault,
    *,
    actor_id: str | None,
    now_us: int,
) -> str:
    """The id of the new channel. Raises ChannelConflict."""
    held = select(func.count()).where(_C.organization_id == organization_id)
    if int(session.scalar(held)) >= MAX_CHANNELS:
        raise ChannelConflict(f"at most {MAX_CHANNELS} channels are possible")
    channel_id = new_id("chn", now_us)
    row = {
        "id": channel_id,
        "organization_id": organization_id,
        "created_at": now_us,
        "created_by": actor_id,
        **_columns(channel_id, given, seal, now_us),
    }
    _once(session, insert(alert_channels).values(row), given.name)
    return channel_id


def replace(
    session: WriteSession,
    organization_id: str,
    channel_id: str,
    given: Given,
    seal: Vault,
    now_us: int,
) -> None:
    """Store the changed channel, sealed anew. Raises ChannelConflict."""
    statement = (
        update(alert_channels)
        .where(_C.id == channel_id, _C.organization_id == organization_id)
        .values(_columns(channel_id, given, seal, now_us))
    )
    _once(session, statement, given.name)


def _once(session: WriteSession, statement: Any, name: str) -> None:
    try:
        session.execute(statement)
    except IntegrityError:
        raise ChannelConflict(f"There is a channel called {name} already.") from None


def _columns(channel_id: str, given: Given, seal: Vault, now_us: int) -> dict[str, Any]:
    fields = channel_fields(given.channel)
    secret = fields != shown_fields(given.channel)
    return {
        "name": given.name,
        "kind": given.kind,
        "config": seal.seal(dumps(fields), channel_id, secret=secret),
        "addressees": len(parts(given.channel)),
        "severities": dumps(list(given.severities)),
        "is_default": int(given.is_default),
        "enabled": int(given.enabled),
        "updated_at": now_us,
    }


def given_of(row: Row, seal: Vault) -> Given:
    """A stored channel with its secrets. Raises SecretUnreadable."""
    return Given(
        row["name"],
        row["kind"],
        tuple(loads(row["severities"])),
        bool(row["is_default"]),
        bool(row["enabled"]),
        channel_of(row, seal),
    )


def channel_of(row: Row, seal: Vault) -> Channel:
    """What `deliver` takes. Raises SecretUnreadable."""
    return read_channel(row["kind"], loads(seal.open(row["config"], row["id"])))


def remove(session: WriteSession, organization_id: str, channel_id: str) -> None:
    session.execute(
        delete(alert_channels).where(_C.id == channel_id, _C.organization_id == organization_id)
    )


def rows(session: ReadSession, organization_id: str) -> list[Row]:
    """The organization's channels by id."""
    query = select(alert_channels).where(_C.organization_id == organization_id).order_by(_C.id)
    return [dict(row) for row in session.execute(query).mappings()]


def row(session: ReadSession, organization_id: str, channel: str) -> Row:
    """One channel by its id or its name. Raises ChannelUnknown."""
    query = (
        select(alert_channels)
        .where(
            _C.organization_id == organization_id,
            (_C.id == channel) | (_C.name == channel),
        )
        .order_by((_C.id == channel).desc())
    )
    found = session.execute(query).mappings().first()
    if found is None:
        raise ChannelUnknown("Channel not found")
    return dict(found)


def ids_of(
    session: ReadSession, organization_id: str, named: Sequence[str], field: str
) -> list[str]:
    """The ids of channels that were named by id or name. Raises RuleError for one that is none."""
    known: dict[str, str] = {}
    for each in rows(session, organization_id):
        known.setdefault(each["name"], each["id"])
    known.update({each: each for each in list(known.values())})
    for name in named:
        if name not in known:
            raise RuleError(f"{name!r} is no channel of the organization", field=field)
    return list(dict.fromkeys(known[name] for name in named))


def routed(
    session: ReadSession, organization_id: str, wanted: Iterable[str], severity: str
) -> list[Row]:
    """The channels in force that take a severity: those wanted, or the default ones when none
    is."""
    named = set(wanted)
    return [
        each
        for each in rows(session, organization_id)
        if each["enabled"]
        and severity in loads(each["severities"])
        and (each["id"] in named if named else each["is_default"])
    ]
