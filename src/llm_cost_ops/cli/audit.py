"""`audit`: read the audit log, prove that it is as it was written, keep checkpoints outside."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import GENERAL, OK
from llm_cost_ops.cli.output import Column, Listing, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Profile

audit = group("The audit log: read it, prove that nobody changed it, keep checkpoints outside.")
checkpoints = group("Signed statements of how long the audit log was and of its last hash.")
audit.add_typer(checkpoints, name="checkpoints")

File = Annotated[
    Path | None,
    typer.Option("--checkpoint", help="Checkpoints kept outside, as `export` printed them."),
]
Start = Annotated[str | None, typer.Option("--since", help="From this day or time on (UTC).")]
End = Annotated[str | None, typer.Option("--until", help="To this day, included, or time.")]
Action = Annotated[
    str | None, typer.Option("--action", help="One, or all that begin so: `auth.*`.")
]
User = Annotated[str | None, typer.Option("--user", help="Id of the user who acted.")]
Key = Annotated[
    str | None, typer.Option("--key", "--actor", help="Id of the credential, or its kind.")
]
Resource = Annotated[
    str | None, typer.Option("--resource", help="A type, or type and id: `budget:bud_1`.")
]
Outcome = Annotated[str | None, typer.Option("--outcome", help="success, denied or failure.")]
RequestId = Annotated[str | None, typer.Option("--request", help="Id of the request.")]
COLUMNS = (
    Column("timestamp", "time", "time"),
    Column("action"),
    Column("outcome"),
    Column("actor_id", "actor", read=lambda row: row["actor_id"] or row["actor_kind"]),
    Column(
        "user_email", "user", optional=True, read=lambda row: row["user_email"] or row["user_id"]
    ),
    Column("resource_type", "resource"),
    Column("resource_id", "id"),
    Column("ip", optional=True),
)
FIELDS = (
    "seq", "timestamp", "actor_kind", "actor_id", "user_id", "user_email", "ip", "action",
    "resource_type", "resource_id", "outcome", "before", "after", "request_id", "id", "hash",
)  # fmt: skip
Since = Annotated[
    str | None, typer.Option("--since", help="Those made since this day or time (UTC).")
]


@command(audit, "list", "logs", organization=True)
def _list(
    profile: Profile,
    since: Start = None,
    until: End = None,
    action: Action = None,
    user: User = None,
    key: Key = None,
    resource: Resource = None,
    outcome: Outcome = None,
    request: RequestId = None,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 100,
) -> int:
    """List entries, the newest first.

    $ cost-ops audit list --action usage.create --since 2026-07-01
    $ cost-ops audit list --action "auth.*" --outcome denied -o json
    """
    given = _given(since, until, action, user, key, resource, outcome, request)
    return show_entries(profile, given, limit)


def show_entries(profile: Profile, filters: Mapping[str, Any], limit: int) -> int:
    """Print entries of the log that the filters leave."""
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.read("/audit", {**filters, "limit": limit})
    listing = Listing(COLUMNS, FIELDS, tail_of(answer), empty="No such entries.")
    show_rows(profile, rows_of(answer), listing)
    return OK


@command(audit, "export", organization=True)
def _export_entries(
    profile: Profile,
    form: Annotated[
        str, typer.Option("--format", "-f", help="csv, json or jsonl.", metavar="FORMAT")
    ] = "csv",
    since: Start = None,
    until: End = None,
    action: Action = None,
    user: User = None,
    key: Key = None,
    resource: Resource = None,
    outcome: Outcome = None,
    request: RequestId = None,
) -> int:
    """Print all entries as a file. A text that a spreadsheet would take for a formula is led by an
    apostrophe in CSV.

    $ cost-ops audit export > audit.csv
    $ cost-ops audit export --format jsonl --since 2026-07-01 > audit.jsonl
    """
    from llm_cost_ops.cli.connect import connected

    given = _given(since, until, action, user, key, resource, outcome, request)
    with connected(profile) as api:
        file = api.audit.export(format=form, **given)
    sys.stdout.buffer.write(file)
    return OK


def _given(
    since: str | None,
    until: str | None,
    action: str | None,
    user: str | None,
    key: str | None,
    resource: str | None,
    outcome: str | None,
    request: str | None,
) -> dict[str, Any]:
    filters = {
        "start_date": since,
        "end_date": until,
        "action": action,
        "user_id": user,
        "actor": key,
        "resource": resource,
        "outcome": outcome,
        "request_id": request,
    }
    return {name: value for name, value in filters.items() if value is not None}


@command(audit, "verify", organization=True, shows=("database_url",))
def _verify(profile: Profile, checkpoint: File = None) -> int:
    """Prove that nobody edited, deleted, reordered, inserted or cut off entries; exit with 1 and
    name the first bad one otherwise.

    Without --organization the logs of all organizations of the database are walked.

    $ cost-ops audit verify
    $ cost-ops audit verify --organization acme --checkpoint checkpoints.jsonl -o json
    """
    if profile.remote:
        from llm_cost_ops.cli.audit_remote import verified_there as verified
    else:
        from llm_cost_ops.cli.audit_desk import verified
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
    if profile.remote:
        from llm_cost_ops.cli.audit_remote import exported_there as exported
    else:
        from llm_cost_ops.cli.audit_desk import exported
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
