"""The audit log of the local database, for the operator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llm_cost_ops.cli.failure import ARGUMENTS, CommandError
from llm_cost_ops.cli.ledger_home import chosen_organization, open_ledger
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import parse_instant, to_micros
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.audit import checkpoint, outside, verify
from llm_cost_ops.server.audit.sign import Signer
from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import read, snapshot, write_retrying


def verified(profile: Profile, path: Path | None) -> dict[str, Any]:
    """The proofs of the named organization's log or of all."""
    kept = [] if path is None else _kept(path)
    settings = profile.settings()
    signer = Signer.of(settings)
    with open_ledger(profile, settings) as database:
        scope = _scope(database, profile, {each.organization_id for each in kept})
        proofs: list[dict[str, object]] = []
        for organization_id in scope:
            own = [each for each in kept if each.organization_id == organization_id]
            with snapshot(database) as session:
                proofs.append(verify.verify(session, organization_id, signer, own).shown())
    return {"ok": all(proof["ok"] for proof in proofs), "organizations": proofs}


def exported(profile: Profile, since: str | None) -> Iterator[str]:
    """The checkpoints, a line each."""
    since_us = 0 if since is None else _instant(since)
    settings = profile.settings()
    signer = Signer.of(settings)
    with open_ledger(profile, settings) as database:
        for organization_id in _scope(database, profile, set()):
            with read(database) as session:
                found = checkpoint.checkpoints(session, organization_id, since_us=since_us)
            for each in found:
                yield dumps(outside.shown(each, signer))


def made(profile: Profile) -> int:
    """How many checkpoints were made."""
    settings = profile.settings()
    signer, clock = Signer.of(settings), SystemClock()
    total = 0
    with open_ledger(profile, settings) as database:
        while True:
            count = write_retrying(
                database,
                lambda session: checkpoint.make_checkpoints(session, signer, now_us=clock.micros()),
            )
            total += count
            if count < checkpoint.PAGE:
                return total


def _scope(database: Database, profile: Profile, further: set[str]) -> list[str]:
    if profile.organization is not None:
        return [chosen_organization(database, profile.organization).id]
    with read(database) as session:
        return sorted({*verify.organizations_of(session), *further})


def _kept(path: Path) -> list[checkpoint.Checkpoint]:
    try:
        return list(outside.read_checkpoints(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot read {path}: {error}", exit_code=ARGUMENTS) from None


def _instant(text: str) -> int:
    try:
        return to_micros(parse_instant(text))
    except DomainError as error:
        raise CommandError(f"--since {error.message}", exit_code=ARGUMENTS) from None
