"""What a caller wrote beside the counts: labels, tags, metadata, and the identity of it all."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from hashlib import blake2b
from operator import attrgetter
from typing import cast

import msgspec

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.server.ingest.schema import WireCost, WireRecord
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.ledger.imports import RELEASED
from llm_cost_ops.server.ledger.labels import MAX_METADATA_BYTES, is_sane

_INSANE = "must not hold control characters or surrounding spaces"
_SHARED = ("source", "model", "project_id", "team_id", "user_id", "api_key_id", "environment")
_PRICED_BY = ("region", "service_tier", "processing")
_COST_LABELS = attrgetter(*_SHARED, "feature", "status", "provider", *_PRICED_BY)
_USAGE_LABELS = attrgetter(*_SHARED, "feature", "status", *_PRICED_BY)
_KNOWN_LABELS: set[str | None] = {None}
_MAX_KNOWN_LABELS = 100_000
_encode = msgspec.json.Encoder(decimal_format="number").encode
_encode_sorted = msgspec.json.Encoder(decimal_format="number", order="deterministic").encode


def check_labels(record: WireRecord | WireCost) -> None:
    """Refuse labels that databases would disagree about. Raises UsageError naming the field."""
    labels = _USAGE_LABELS if record.__class__ is WireRecord else _COST_LABELS
    found = labels(record)
    if not _KNOWN_LABELS.issuperset(found):
        for value in found:
            if value not in _KNOWN_LABELS:
                _check_label(record, value)
    event_id = record.event_id
    if event_id is not None:
        if not is_sane(event_id):
            raise UsageError("event_id", _INSANE)
        if event_id.startswith(RELEASED):
            raise UsageError("event_id", f"must not begin with {RELEASED}")
    for tag in record.tags or ():
        if tag not in _KNOWN_LABELS:
            _check_label(record, tag)


def _check_label(record: WireRecord | WireCost, value: str) -> None:
    if not is_sane(value):
        fields = (f for f in record.__struct_fields__ if getattr(record, f) == value)
        raise UsageError(next(fields, "tags"), _INSANE)
    if len(_KNOWN_LABELS) < _MAX_KNOWN_LABELS:
        _KNOWN_LABELS.add(value)


def fill_payload(entry: Entry, record: WireRecord | WireCost) -> None:
    """Write labels, tags, metadata and the digest into an entry. Raises UsageError."""
    entry.source = record.source
    entry.event_id = record.event_id
    entry.project_id = record.project_id
    entry.team_id = record.team_id
    entry.user_id = record.user_id
    entry.api_key_id = record.api_key_id
    entry.environment = record.environment
    entry.feature = record.feature
    entry.status = record.status
    entry.latency_ms = record.latency_ms
    if record.tags:
        entry.tags = _encode(record.tags).decode()
    else:
        record.tags = None  # an empty list says nothing
    if record.metadata:
        entry.metadata = _metadata(bytes(record.metadata))
    entry.payload_digest = _digest(record)


def _metadata(text: bytes) -> str:
    if text[:1] != b"{":
        raise UsageError("metadata", "must be an object")
    if len(text) > MAX_METADATA_BYTES:
        raise UsageError("metadata", f"must be at most {MAX_METADATA_BYTES} bytes of JSON")
    if b"\\u0000" in text and _holds_nul(msgspec.json.decode(text)):
        raise UsageError("metadata", "must not hold NUL characters")
    return text.decode()


def _holds_nul(value: object) -> bool:
    """PostgreSQL cannot store one; a backslash before `u0000` may itself be written out."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(
            _holds_nul(part)
            for pair in cast("Mapping[str, object]", value).items()
            for part in pair
        )
    return isinstance(value, list) and any(map(_holds_nul, cast("list[object]", value)))


def _digest(record: WireRecord | WireCost) -> str:
    """Identity of the payload: everything but the ids under which it was sent and what says nothing
    of its own. Another spelling of the same call is the same call: metadata and instants have their
    one spelling by now, other objects get it here."""
    source, event_id, organization_id = record.source, record.event_id, record.organization_id
    record.source, record.event_id, record.organization_id = "", None, None
    total: int | None = None
    encode = _encode
    if isinstance(record, WireRecord):
        total, record.total_tokens = record.total_tokens, None
        if record.usage is not None or record.response is not None:
            encode = _encode_sorted
    elif record.usage is not None:
        encode = _encode_sorted
    try:
        body = encode(record)
    finally:
        record.source, record.event_id, record.organization_id = source, event_id, organization_id
        if isinstance(record, WireRecord):
            record.total_tokens = total
    digest = blake2b(body, digest_size=16).digest()
    return b2a_base64(digest, newline=False)[:22].decode()
