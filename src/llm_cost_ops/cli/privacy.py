"""`privacy`: what persons may ask for: access, erasure, correction, restriction, objection."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import ARGUMENTS, OK, CommandError
from llm_cost_ops.cli.output import Column, Listing, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Profile

privacy = group(
    "Persons' data: export, erase, rectify, restrict, object; requests and their status."
)

FIELDS = ("id", "kind", "status", "subject", "result", "created_at", "finished_at")
COLUMNS = (
    Column("id"),
    Column("kind"),
    Column("status"),
    Column("subject"),
    Column("created_at", "created"),
    Column("finished_at", "finished"),
)
Subject = Annotated[str, typer.Argument(help="A user id or e-mail address.")]


@command(privacy, "export", organization=True)
def _export(
    profile: Profile,
    subject: Subject,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Where to write; a file that is not there.")
    ] = None,
) -> int:
    """Write everything that is stored about a person, as JSON.

    $ cost-ops privacy export alice@example.com -f alice.json
    """
    from llm_cost_ops.cli.connect import connected, path_of
    from llm_cost_ops.core.jsontext import dumps

    with connected(profile) as api:
        made = api.change("POST", "/privacy/requests", {"kind": "access", "subject": subject})
        found = api.read(path_of("privacy", "requests", made["id"], "export"))
    text = dumps(found)
    if file is None:
        print(text)
    else:
        _write(file, text)
        profile.note(f"Written to {file}.")
    return OK


def _write(file: Path, text: str) -> None:
    """Readable by its owner alone."""
    try:
        made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        reason = f"{file}: cannot be written: {error.strerror}"
        raise CommandError(reason, exit_code=ARGUMENTS) from None
    with os.fdopen(made, "w", encoding="utf-8") as opened:
        opened.write(text + "\n")


@command(privacy, "erase", organization=True)
def _erase(
    profile: Profile,
    subject: Subject,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Put a pseudonym in the place of a person everywhere; sums stay. It cannot be taken back.

    The worker does it; `privacy status` tells when it is done, `privacy certificate` what was done.

    $ cost-ops privacy erase alice@example.com --yes
    """
    if not yes:
        typer.confirm(f"Erase {subject} for good?", abort=True)
    return _ask(profile, {"kind": "erase", "subject": subject})


@command(privacy, "rectify", organization=True)
def _rectify(
    profile: Profile,
    subject: Subject,
    name: Annotated[str | None, typer.Option(help="The right name.")] = None,
    given_name: Annotated[str | None, typer.Option(help="The right given name.")] = None,
    family_name: Annotated[str | None, typer.Option(help="The right family name.")] = None,
    email: Annotated[str | None, typer.Option(help="The right e-mail address.")] = None,
) -> int:
    """Correct what is held of a person.

    $ cost-ops privacy rectify alice --name "Alice Liddell"
    """
    given = {"name": name, "given_name": given_name, "family_name": family_name, "email": email}
    changes = {key: value for key, value in given.items() if value is not None}
    if not changes:
        raise CommandError("nothing to rectify: name a field", exit_code=ARGUMENTS)
    return _ask(profile, {"kind": "rectify", "subject": subject, "changes": changes})


@command(privacy, "restrict", organization=True)
def _restrict(profile: Profile, subject: Subject) -> int:
    """Count a person's calls without the person from now on, until `privacy lift`.

    $ cost-ops privacy restrict alice
    """
    return _ask(profile, {"kind": "restrict", "subject": subject})


@command(privacy, "object", organization=True)
def _object(profile: Profile, subject: Subject) -> int:
    """The same because the person objected.

    $ cost-ops privacy object alice
    """
    return _ask(profile, {"kind": "object", "subject": subject})


@command(privacy, "lift", organization=True)
def _lift(profile: Profile, subject: Subject) -> int:
    """Count a person's calls under the person's id again.

    $ cost-ops privacy lift alice
    """
    return _ask(profile, {"kind": "lift", "subject": subject})


def _ask(profile: Profile, body: Mapping[str, Any]) -> int:
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        made = api.change("POST", "/privacy/requests", body)
    show_object(profile, made, _show)
    return OK


@command(privacy, "status", organization=True)
def _status(
    profile: Profile,
    request_id: Annotated[str | None, typer.Argument(help="Id of a request (prv_..).")] = None,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 100,
) -> int:
    """List requests, or show one.

    $ cost-ops privacy status
    $ cost-ops privacy status prv_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        if request_id is not None:
            found = api.read(path_of("privacy", "requests", request_id))
            show_object(profile, found, _show)
            return OK
        answer = api.read("/privacy/requests", {"limit": limit})
    listing = Listing(COLUMNS, FIELDS, tail_of(answer), empty="No requests.")
    show_rows(profile, rows_of(answer), listing)
    return OK


@command(privacy, "retry", organization=True)
def _retry(
    profile: Profile, request_id: Annotated[str, typer.Argument(help="Id of an erasure (prv_..).")]
) -> int:
    """Try an erasure again that failed; it goes on where it was.

    $ cost-ops privacy retry prv_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        made = api.change("POST", path_of("privacy", "requests", request_id, "retry"), {})
    show_object(profile, made, _show)
    return OK


@command(privacy, "certificate", organization=True)
def _certificate(
    profile: Profile, request_id: Annotated[str, typer.Argument(help="Id of an erasure (prv_..).")]
) -> int:
    """Print what an erasure did, signed.

    $ cost-ops privacy certificate prv_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of
    from llm_cost_ops.core.jsontext import dumps

    with connected(profile) as api:
        print(dumps(api.read(path_of("privacy", "requests", request_id, "certificate"))))
    return OK


def _show(profile: Profile, row: Mapping[str, Any]) -> None:
    print(f"{row['id']}  {row['kind']}  {row['status']}")
    if row["status"] == "failed":
        profile.note(f"{row['result'].get('reason', '')} `cost-ops privacy retry` goes on.".strip())
    if row["status"] == "pending":
        profile.note("A worker does it: `cost-ops privacy status` tells when it is done.")
