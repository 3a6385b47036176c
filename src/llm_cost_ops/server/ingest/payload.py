"""What a caller wrote beside the counts: labels, tags, metadata, and the identity of it all."""

from __future__ import annotations

from binascii import b2a_base64
from hashlib import blake2b
from operator import attrgetter

import msgspec

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.server.ingest.schema import MAX_METADATA_BYTES, WireCost, WireRecord
from llm_cost_ops.server.ledger.entry import Entry

_INSANE = "must not hold control characters or surrounding spaces"
_SHARED = ("source", "model", "project_id", "team_id", "user_id", "api_key_id", "environment")
_COST_LABELS = attrgetter(*_SHARED, "feature", "status", "provider")
_USAGE_LABELS = attrgetter(*_SHARED, "feature", "status", "region", "service_tier", "processing")
_KNOWN_LABELS: set[str | None] = {None}
_MAX_KNOWN_LABELS = 100_000
_encode = msgspec.json.Encoder(decimal_format="number").encode


def check_labels(record: WireRecord | WireCost) -> None:
    """Refuse labels that databases would disagree about. Raises UsageError naming the field."""
    labels = _USAGE_LABELS if record.__class__ is WireRecord else _COST_LABELS
    found = labels(record)
    if not _KNOWN_LABELS.issuperset(found):
        for value in found:
            if value not in _KNOWN_LABELS:
                _check_label(record, value)
    event_id = record.event_id
    if event_id is not None and not _is_sane(event_id):
        raise UsageError("event_id", _INSANE)
    for tag in record.tags or ():
        if tag not in _KNOWN_LABELS:
            _check_label(record, tag)


def _is_sane(text: str) -> bool:
    """Databases disagree about trailing spaces and NUL: neither gets in."""
    return text.isprintable() and text == text.strip()


def _check_label(record: WireRecord | WireCost, value: str) -> None:
    if not _is_sane(value):
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
    if record.metadata:
        entry.metadata = _metadata(bytes(record.metadata))
    entry.payload_digest = _digest(record)


def _metadata(text: bytes) -> str:
    if text[:1] != b"{":
        raise UsageError("metadata", "must be an object")
    if len(text) > MAX_METADATA_BYTES:
        raise UsageError("metadata", f"must be at most {MAX_METADATA_BYTES} bytes of JSON")
    if b"\\u0000" in text:
        raise UsageError("metadata", "must not hold NUL characters")
    return text.decode()


def _digest(record: WireRecord | WireCost) -> str:
    """Identity of the payload: everything but the ids under which it was sent. Metadata has its one
    spelling since it was decoded, so that another spelling of the same call is the same call."""
    source, event_id = record.source, record.event_id
    record.source, record.event_id = "", None
    try:
        body = _encode(record)
    finally:
        record.source, record.event_id = source, event_id
    digest = blake2b(body, digest_size=16).digest()
    return b2a_base64(digest, newline=False)[:22].decode()
