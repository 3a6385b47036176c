"""Idempotency-Key: a request that was carried out is answered again, not carried out again.

The answer is saved in the transaction of the effect, so there is never one without the other.
Nothing is saved for a refused or failed request: its transaction did not happen, so a repetition
must really run. The same key under another organization, key holder or route is another key.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError
from starlette.requests import Request
from starlette.responses import Response

from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.http.body import json_bytes
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.http.tables import idempotency_keys

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEEP_SECONDS = 24 * 3600
RETRY_SECONDS = 1
PURGE_CHUNK = 1000
_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
PARAMETER: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
"""The header in the OpenAPI document."""
_MICROS = 1_000_000
_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(order="sorted", decimal_format="number")


@dataclass(frozen=True, slots=True)
class IdempotentCall:
    """A request with a key: where the key counts, and what the request said."""

    scope: str
    organization_id: str
    request_digest: str


@dataclass(frozen=True, slots=True)
class Saved:
    """The answer of an earlier request."""

    status: int
    body: bytes
    request_digest: str


def idempotent_call(
    headers: Mapping[str, str],
    body: bytes,
    *,
    organization_id: str,
    principal_id: str,
    method: str,
    route: str,
) -> IdempotentCall | None:
    """The key of a request, None when it has none. `route` is the path as it was called, without
    its query. Raises Problem 400 for a key that is not 1 to 255 visible ASCII characters."""
    key = headers.get(HEADER)
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise Problem(
            400,
            "INVALID_REQUEST",
            "The Idempotency-Key is not valid.",
            {HEADER: "must be 1 to 255 visible ASCII characters"},
        )
    # The parts cannot run into each other: a JSON array separates and quotes them.
    parts = msgspec.json.encode([organization_id, principal_id, method, route, key])
    scope = hashlib.sha256(parts).hexdigest()
    return IdempotentCall(scope, organization_id, request_digest(body))


def call_of(
    request: Request, body: bytes, organization_id: str, principal_id: str
) -> IdempotentCall | None:
    """The key of a request that came with this body; its query counts as part of it."""
    query: bytes = request.scope["query_string"]
    return idempotent_call(
        request.headers,
        query + b"\n" + body if query else body,
        organization_id=organization_id,
        principal_id=principal_id,
        method=request.method,
        route=request.scope["path"],
    )


def request_digest(body: bytes) -> str:
    """SHA-256 of the body; of JSON, with its keys sorted and without its white space."""
    try:
        body = _encoder.encode(_decoder.decode(body))
    except (msgspec.MsgspecError, ArithmeticError, RecursionError, ValueError):
        pass  # not one JSON document: its bytes count
    return hashlib.sha256(body).hexdigest()


def lookup(session: ReadSession, scopes: Sequence[str], now: int) -> dict[str, Saved]:
    """The saved answers of these scopes, by scope; `now` in microseconds. In a transaction that
    writes, expired ones are removed, so that their keys can be used again."""
    if not scopes:
        return {}
    keys = idempotency_keys.c
    rows = session.execute(
        select(keys.scope, keys.status, keys.body, keys.request_digest, keys.expires_at).where(
            keys.scope.in_(scopes)
        )
    ).all()
    if isinstance(session, WriteSession) and any(row.expires_at <= now for row in rows):
        session.execute(
            delete(idempotency_keys).where(keys.scope.in_(scopes), keys.expires_at <= now)
        )
    return {
        row.scope: Saved(int(row.status), bytes(row.body), row.request_digest)
        for row in rows
        if row.expires_at > now
    }


def replay(saved: Saved, call: IdempotentCall) -> Response:
    """The same answer, byte for byte. Raises Problem 422 when the key came with another body."""
    if saved.request_digest != call.request_digest:
        raise Problem(
            422,
            "IDEMPOTENCY_KEY_REUSED",
            "This Idempotency-Key was used with another request body.",
        )
    headers = {REPLAYED: "true"}
    if not saved.body:
        return Response(status_code=saved.status, headers=headers)
    return json_bytes(saved.body, saved.status, headers)


def once(
    session: WriteSession, call: IdempotentCall | None, now: int, work: Callable[[], Response]
) -> Response:
    """The answer of `work`, saved with its effect, or the one that was saved before; `now` in
    microseconds. Raises Problem 409 and 422 as `save` and `replay` do."""
    if call is None:
        return work()
    saved = lookup(session, [call.scope], now).get(call.scope)
    if saved is not None:
        return replay(saved, call)
    answer = work()
    save(session, call, answer.status_code, bytes(answer.body), now)
    return answer


def save(
    session: WriteSession,
    call: IdempotentCall,
    status: int,
    body: bytes,
    now: int,
    keep_seconds: int = KEEP_SECONDS,
) -> None:
    """Save an answer in the transaction of its effect; `now` in microseconds.

    Raises Problem 409 when a twin in another process was faster: the caller's transaction must
    roll back, and a retry then finds the twin's answer. A 5xx is never saved.
    """
    if status >= 500:
        return
    try:
        session.execute(
            insert(idempotency_keys),
            {
                "scope": call.scope,
                "organization_id": call.organization_id,
                "request_digest": call.request_digest,
                "status": status,
                "body": body,
                "created_at": now,
                "expires_at": now + keep_seconds * _MICROS,
            },
        )
    except IntegrityError:
        raise twin_in_flight() from None


def twin_in_flight() -> Problem:
    return Problem(
        409,
        "CONFLICT",
        "A request with this Idempotency-Key is being worked on.",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


class InFlight:
    """The keyed requests that this process is working on."""

    def __init__(self) -> None:
        self._scopes: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def claim(self, call: IdempotentCall | None) -> Generator[None]:
        """Hold the key while the block runs. Raises Problem 409 when a twin holds it."""
        if call is None:
            yield
            return
        with self._lock:
            if call.scope in self._scopes:
                raise twin_in_flight()
            self._scopes.add(call.scope)
        try:
            yield
        finally:
            with self._lock:
                self._scopes.discard(call.scope)


def purge(session: WriteSession, now: int, limit: int = PURGE_CHUNK) -> int:
    """Remove at most `limit` expired answers and return how many; `now` in microseconds."""
    keys = idempotency_keys.c
    expired = session.execute(
        select(keys.scope).where(keys.expires_at <= now).order_by(keys.expires_at).limit(limit)
    ).scalars()
    scopes = list(expired)
    if scopes:
        session.execute(delete(idempotency_keys).where(keys.scope.in_(scopes)))
    return len(scopes)
