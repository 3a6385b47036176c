"""What the hash of an entry covers.

The hash is the SHA-256 of a JSON array of the entry's facts and of the hash before it. What may
name a person stands in it as commitments only: SHA-256 of a random salt and the values. Erasing
a person removes values and salt; without the salt nobody can try which values the commitment is
of, and the chain stays whole. `who` is about the actor, `what` about the resource.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from hashlib import sha256
from json import JSONEncoder
from typing import Any

from llm_cost_ops.core.jsontext import JsonError, canonical

VERSION = 1
GENESIS = "0" * 64
"""The hash before the first entry."""
SALT_BYTES = 12
ERASED = re.compile(r"erased-[0-9a-f]{8,32}", re.ASCII)
"""What stands in the place of an erased person."""
_ENCODE = JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode


def new_salt() -> str:
    return secrets.token_hex(SALT_BYTES)


def digest(*values: object) -> str:
    """SHA-256 of the values as a compact JSON array in ASCII."""
    return sha256(_ENCODE(values).encode("ascii")).hexdigest()


def who_commitment(row: Mapping[str, Any]) -> str:
    """The commitment to who acted: of the values, or the one that was kept of them."""
    if row["who_salt"] is None:
        return str(row["who_commitment"])
    return digest(row["who_salt"], row["user_id"], row["user_email"], row["ip"])


def what_commitment(row: Mapping[str, Any]) -> str:
    """The commitment to what it was done to, with the values before and after."""
    if row["what_salt"] is None:
        return str(row["what_commitment"])
    before, after = _canonical(row["before"]), _canonical(row["after"])
    return digest(row["what_salt"], row["resource_id"], before, after)


def _canonical(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return canonical(text)
    except JsonError:  # somebody damaged it: the hash will differ
        return text


def entry_hash(row: Mapping[str, Any], previous: str) -> str:
    """The hash of an entry that follows the one with the hash `previous`."""
    return digest(
        VERSION,
        row["organization_id"],
        row["seq"],
        previous,
        row["id"],
        row["timestamp"],
        row["actor_kind"],
        row["actor_id"],
        row["action"],
        row["resource_type"],
        row["outcome"],
        row["request_id"],
        who_commitment(row),
        what_commitment(row),
    )


def is_as_written(row: Mapping[str, Any], previous: str) -> bool:
    """Whether an entry that follows the one with the hash `previous` has the hash of its facts."""
    try:
        return entry_hash(row, previous) == row["hash"]
    except (TypeError, ValueError):
        return False
