"""`audit`: prove that the audit log is as it was written, and keep checkpoints outside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import GENERAL, OK
from llm_cost_ops.cli.output import show_object
from llm_cost_ops.cli.profile import Profile

audit = group("The audit log: prove that nobody changed it, keep checkpoints of it outside.")
checkpoints = group("Signed statements of how long the audit log was and of its last hash.")
audit.add_typer(checkpoints, name="checkpoints")

File = Annotated[
    Path | None,
    typer.Option("--checkpoint", help="Checkpoints kept outside, as `export` printed them."),
]
Since = Annotated[
    str | None, typer.Option("--since", help="Those made since this day or time (UTC).")
]


@command(audit, "verify", organization=True, shows=("database_url",))
def _verify(profile: Profile, checkpoint: File = None) -> int:
    """Prove that nobody edited, deleted, reordered, inserted or cut off entries; exit with 1 and
    name the first bad one otherwise.

    Without --organization the logs of all organizations of the database are walked.

    $ cost-ops audit verify
    $ cost-ops audit verify --organization acme --checkpoint checkpoints.jsonl -o json
    """
    from llm_cost_ops.cli.audit_desk import verified

    profile.refuse_remote("audit verify")
    result = verified(profile, checkpoint)
    show_object(profile, result, _show)
    return OK if result["ok"] else GENERAL


@command(checkpoints, "export", organization=True, shows=("database_url",))
def _export(profile: Profile, since: Since = None) -> int:
    """Print the checkpoints as JSON lines, to be kept where the database's owner cannot change
    them.

    $ cost-ops audit checkpoints export > checkpoints.jsonl
    $ cost-ops audit checkpoints export --since 2026-07-01 >> checkpoints.jsonl
    """
    from llm_cost_ops.cli.audit_desk import exported

    profile.refuse_remote("audit checkpoints export")
    for line in exported(profile, since):
        print(line)
    return OK


@command(checkpoints, "make", shows=("database_url",))
def _make(profile: Profile) -> int:
    """Make checkpoints now, for every log that has grown since its last; the worker does each hour.

    $ cost-ops audit checkpoints make
    """
    from llm_cost_ops.cli.audit_desk import made

    profile.refuse_remote("audit checkpoints make")
    show_object(profile, {"made": made(profile)}, lambda _p, one: print(f"{one['made']} made."))
    return OK


def _show(_profile: Profile, result: Mapping[str, Any]) -> None:
    for each in result["organizations"]:
        removed = f", {each['removed']:,} removed when they were old" if each["removed"] else ""
        name, count = each["organization_id"], each["entries"]
        told = "as written" if each["ok"] else f"BAD from entry {each['first_bad_seq']} on"
        print(f"{name}: {told}; {count:,} entries{removed}; {each['checkpoints']} checkpoints")
        if not each["ok"]:
            print(f"  {each['fault']}: {each['message']}")
