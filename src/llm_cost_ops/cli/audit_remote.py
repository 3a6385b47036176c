"""The audit log of a server, as its key may see it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llm_cost_ops.cli.connect import connected
from llm_cost_ops.cli.failure import ARGUMENTS, CommandError
from llm_cost_ops.cli.profile import Profile


def verified_there(profile: Profile, path: Path | None) -> dict[str, Any]:
    """The proof of the log of the key's organization."""
    kept = None if path is None else list(_lines(path))
    with connected(profile) as api:
        proof = api.read("/audit/verify") if kept is None else _against(api, kept)
    return {"ok": proof["ok"], "organizations": [proof]}


def _against(api: Any, kept: list[Any]) -> Any:
    return api.ask("/audit/verify", {"checkpoints": kept})


def exported_there(profile: Profile, since: str | None) -> Iterator[str]:
    """The checkpoints of the key's organization, a line each."""
    given = {} if since is None else {"since": since}
    with connected(profile) as api:
        for each in api.read("/audit/checkpoints", given)["data"]:
            yield json.dumps(each, separators=(",", ":"))


def _lines(path: Path) -> Iterator[Any]:
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                yield json.loads(line)
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot read {path}: {error}", exit_code=ARGUMENTS) from None
