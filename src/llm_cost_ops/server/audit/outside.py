"""Checkpoints as they are kept outside: a JSON object a line, each with the key that signed it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import format_micros, parse_instant, to_micros
from llm_cost_ops.core.jsontext import JsonError, loads
from llm_cost_ops.server.audit.checkpoint import Checkpoint
from llm_cost_ops.server.audit.sign import UNSIGNED, Signer, holds

_TEXTS = ("organization_id", "hash", "created_at", "key_id", "public_key", "signature")


class CheckpointError(DomainError):
    """A file of checkpoints that cannot be used."""


def shown(each: Checkpoint, signer: Signer) -> dict[str, object]:
    """A checkpoint as it is given away."""
    return {
        "organization_id": each.organization_id,
        "seq": each.seq,
        "hash": each.hash,
        "created_at": format_micros(each.created_at),
        "key_id": each.key_id,
        "public_key": signer.public_keys.get(each.key_id, ""),
        "signature": each.signature,
    }


def read_checkpoints(text: str) -> Iterator[Checkpoint]:
    """The checkpoints of a file, each of which its key must have signed. Raises CheckpointError
    with the number of the line."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield checked(loads(line))
            except (JsonError, CheckpointError) as error:
                raise CheckpointError(
                    f"line {number}: {error.message}", field="checkpoint"
                ) from None


def checked_all(given: Iterable[object]) -> list[Checkpoint]:
    """Raises CheckpointError."""
    return [checked(each) for each in given]


def checked(given: Any) -> Checkpoint:
    """One checkpoint. Raises CheckpointError when it is none, or nobody with its key signed it."""
    fields = cast("Mapping[str, Any]", given if isinstance(given, Mapping) else {})
    seq = fields.get("seq")
    if not isinstance(seq, int) or not all(isinstance(fields.get(name), str) for name in _TEXTS):
        raise CheckpointError("is not a checkpoint", field="checkpoint")
    try:
        at_us = to_micros(parse_instant(fields["created_at"]))
    except DomainError:
        raise CheckpointError("has no time of its making", field="created_at") from None
    each = Checkpoint(
        fields["organization_id"],
        seq,
        fields["hash"],
        at_us,
        fields["key_id"],
        fields["signature"],
    )
    signed = each.key_id != UNSIGNED
    if signed and not holds(fields["public_key"], each.key_id, each.statement, each.signature):
        raise CheckpointError("was changed: its key did not sign it", field="signature")
    return each
