"""Send the audit log to another place as it is written: at least once, in order, with a cursor.

The cursor moves when the other side has a batch. A place that is down holds nothing up and loses
nothing: entries stay until it is back, also those that retention would remove.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import case, func, insert, or_, select, update

from llm_cost_ops.core import signature
from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.audit import syslog
from llm_cost_ops.server.audit.shown import shown
from llm_cost_ops.server.audit.tables import audit_forwards, audit_heads, audit_log
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read
from llm_cost_ops.server.delivery.post import judged, post_json
from llm_cost_ops.server.delivery.send import Outbound
from llm_cost_ops.server.settings import Settings

PAGE = 500
MAX_REASON = 255
TYPE = "audit.entries"
SYSLOG, HTTP = "syslog", "http"
_ROW, _HEAD, _LOG = audit_forwards.c, audit_heads.c, audit_log.c
Rows = Sequence[Mapping[str, Any]]
Send = Callable[[str, Rows], None]
"""Send entries of an organization. Raises SinkFailed."""


class SinkFailed(Exception):
    """The other place did not take a batch, or did not say that it did."""


def sinks_of(settings: Settings) -> tuple[str, ...]:
    """The names of the places that the log is sent to."""
    audit = settings.audit
    named = ((SYSLOG, audit.syslog_url), (HTTP, audit.http_url))
    return tuple(name for name, url in named if url is not None)


def senders(settings: Settings, clock: Clock) -> dict[str, Send]:
    """How to send to each."""
    audit = settings.audit
    found: dict[str, Send] = {}
    if audit.syslog_url is not None:
        url = audit.syslog_url

        def by_syslog(_organization_id: str, rows: Rows) -> None:
            try:
                syslog.send(
                    url, rows, ca_file=audit.syslog_ca_file, timeout_s=audit.timeout_seconds
                )
            except OSError as error:
                raise SinkFailed(str(error.strerror or error) or type(error).__name__) from None

        found[SYSLOG] = by_syslog
    if audit.http_url is not None:
        outbound = Outbound(settings.delivery, clock)
        found[HTTP] = _by_http(settings, outbound, clock, audit.http_url)
    return found


def _by_http(settings: Settings, outbound: Outbound, clock: Clock, url: str) -> Send:
    secret = settings.audit.http_secret

    def send(organization_id: str, rows: Rows) -> None:
        # The same batch has the same id at each attempt.
        batch_id = f"aud_{organization_id}_{rows[0]['seq']}_{rows[-1]['seq']}"
        data = {"organization_id": organization_id, "entries": [shown(row) for row in rows]}
        body = dumps({"id": batch_id, "type": TYPE, "event": TYPE, "data": data}).encode()
        headers = _headers(secret, batch_id, body, clock.micros() // 1_000_000)
        outcome = judged(post_json(outbound, url, body, headers), (), (secret,) if secret else ())
        if not outcome.delivered:
            raise SinkFailed(outcome.detail)

    return send


def _headers(secret: str | None, batch_id: str, body: bytes, now_s: int) -> dict[str, str]:
    headers = {"X-LLM-CostOps-Event": TYPE, "X-LLM-CostOps-Delivery-ID": batch_id}
    if secret is None:
        return headers
    digest = signature.plain(secret, body)
    headers |= {
        "X-Webhook-Signature": digest,
        "X-LLM-CostOps-Signature": f"sha256={digest}",
        "X-LLM-CostOps-Timestamp": str(now_s),
        "X-LLM-CostOps-Signature-V2": f"t={now_s},v1={signature.timed(secret, now_s, body)}",
    }
    with suppress(ValueError):  # a text that only looks like a secret of that form
        headers |= {
            "webhook-id": batch_id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": signature.standard(secret, batch_id, now_s, body),
        }
    return headers


Write = Callable[[Callable[[WriteSession], None]], None]


def forward(
    database: Database, sink: str, send: Send, clock: Clock, write: Write, stop: Callable[[], bool]
) -> None:
    """Send what the place does not have yet, of every organization, until `stop`. Raises
    SinkFailed after it was noted; those that failed before have their turn last, the one that
    was tried longest ago first, so that nobody waits for a batch that is never taken."""
    with read(database) as session:
        behind = _behind(session, sink)
    for organization_id, after in behind:
        seq: int | None = after
        while seq is not None and not stop():
            with read(database) as session:
                rows = _next(session, organization_id, seq)
            seq = _batch(sink, organization_id, rows, send, clock, write) if rows else None


def _batch(
    sink: str, organization_id: str, rows: Rows, send: Send, clock: Clock, write: Write
) -> int:
    """Send one batch and note it; the place of its last entry."""
    last = int(rows[-1]["seq"])
    try:
        send(organization_id, rows)
    except SinkFailed as failed:
        reason = str(failed)[:MAX_REASON]
        write(partial(_failed, sink=sink, organization_id=organization_id, reason=reason,
                      now_us=clock.micros()))  # fmt: skip
        raise
    write(partial(_moved, sink=sink, organization_id=organization_id, seq=last,
                  now_us=clock.micros()))  # fmt: skip
    return last


# lint: allow tenant-scope: the program sends the chains of all organizations
def _behind(session: ReadSession, sink: str) -> list[tuple[str, int]]:
    """The organizations of whose entries the place has not all, with the last that it has, in the
    order in which they are to be sent."""
    mine = (_ROW.organization_id == _HEAD.organization_id) & (_ROW.sink == sink)
    query = (
        select(_HEAD.organization_id, func.coalesce(_ROW.seq, 0))
        .select_from(audit_heads.outerjoin(audit_forwards, mine))
        .where(or_(_ROW.seq.is_(None), _ROW.seq < _HEAD.seq))
        .order_by(case((_ROW.failing_since.is_(None), 0), else_=_ROW.updated_at))
        .order_by(_HEAD.organization_id)
    )
    rows: Sequence[Any] = session.execute(query).all()
    return [(str(row[0]), int(row[1])) for row in rows]


def _next(session: ReadSession, organization_id: str, after: int) -> list[Mapping[str, Any]]:
    query = select(audit_log).where(_LOG.organization_id == organization_id, _LOG.seq > after)
    return [dict(row) for row in session.execute(query.order_by(_LOG.seq).limit(PAGE)).mappings()]


def _moved(session: WriteSession, sink: str, organization_id: str, seq: int, now_us: int) -> None:
    values = {"updated_at": now_us, "failing_since": None, "last_error": None}
    mine = (_ROW.sink == sink, _ROW.organization_id == organization_id)
    _ensure(session, sink, organization_id, now_us)
    # A slower worker that sends the same does not move it back.
    session.execute(update(audit_forwards).where(*mine, _ROW.seq < seq).values(seq=seq))
    session.execute(update(audit_forwards).where(*mine).values(**values))


def _failed(
    session: WriteSession, sink: str, organization_id: str, reason: str, now_us: int
) -> None:
    mine = (_ROW.sink == sink, _ROW.organization_id == organization_id)
    _ensure(session, sink, organization_id, now_us)
    since = func.coalesce(_ROW.failing_since, now_us)
    session.execute(
        update(audit_forwards)
        .where(*mine)
        .values(failing_since=since, last_error=reason, updated_at=now_us)
    )


def _ensure(session: WriteSession, sink: str, organization_id: str, now_us: int) -> None:
    mine = (_ROW.sink == sink, _ROW.organization_id == organization_id)
    if session.execute(select(_ROW.seq).where(*mine).with_for_update()).first() is None:
        row = {"sink": sink, "organization_id": organization_id, "seq": 0, "updated_at": now_us}
        session.execute(insert(audit_forwards), row)


def sent_until(session: ReadSession, organization_id: str, sinks: Sequence[str]) -> int | None:
    """The last entry that all these places have, None where there is none of them."""
    if not sinks:
        return None
    query = select(_ROW.sink, _ROW.seq).where(
        _ROW.organization_id == organization_id, _ROW.sink.in_(sinks)
    )
    rows: Sequence[Any] = session.execute(query).all()
    found = {str(row[0]): int(row[1]) for row in rows}
    return min(found.get(sink, 0) for sink in sinks)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a place is: entries that it does not have; since when sending fails, and why."""

    sink: str
    waiting: int
    failing_since: int | None
    last_error: str | None

    @property
    def warning(self) -> str | None:
        """What an operator should look after."""
        if self.failing_since is None:
            return None
        since = format_micros(self.failing_since)
        return (
            f"the audit log is not sent to {self.sink} since {since}:"
            f" {self.last_error}; {self.waiting} entries wait"
        )


# lint: allow tenant-scope: for the operator
def standing_of(session: ReadSession, sink: str) -> Standing:
    """How far a place is with all organizations."""
    mine = (_ROW.organization_id == _HEAD.organization_id) & (_ROW.sink == sink)
    heads = audit_heads.outerjoin(audit_forwards, mine)
    waiting = func.sum(_HEAD.seq - func.coalesce(_ROW.seq, 0))
    count = session.scalar(select(waiting).select_from(heads))
    failing = (
        select(_ROW.failing_since, _ROW.last_error)
        .where(_ROW.sink == sink, _ROW.failing_since.is_not(None))
        .order_by(_ROW.failing_since)
        .limit(1)
    )
    found: Any = session.execute(failing).first()
    since, reason = (None, None) if found is None else (int(found[0]), found[1])
    return Standing(sink, int(count or 0), since, reason)
