"""`init`, `migrate` and `db`: the schema, and whether the database keeps what it acknowledges."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group, single
from llm_cost_ops.cli.failure import ARGUMENTS, GENERAL, OK, CommandError
from llm_cost_ops.cli.output import show_object
from llm_cost_ops.cli.profile import Profile

if TYPE_CHECKING:
    from llm_cost_ops.server.db.migrate import SchemaState
    from llm_cost_ops.server.settings import DatabaseSettings

DATABASE_URL = ("database_url",)
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def _upgrade(profile: Profile) -> int:
    return _upgraded(profile, "head")


migrate = group(
    "Upgrade the database schema. The bare name is `migrate run`.", _upgrade, shows=DATABASE_URL
)
db = group("Look at the database and change its schema.")


@single("init", shows=DATABASE_URL)
def init(
    profile: Profile,
    name: Annotated[
        str | None,
        typer.Option("--organization", "--org", help="Its name; `Default` when left out."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Go through every step again. Init never deletes anything."),
    ] = False,
    seed: Annotated[
        bool,
        typer.Option("--seed", help="Also say which price book is in force; it needs no loading."),
    ] = False,
) -> int:
    """Create the database schema and the organization. Prints no key.

    May be run again at any time: what is there stays. With --organization NAME a further
    organization is created when there is none of that name.

    $ cost-ops init
    $ cost-ops init --database-url postgresql://cost_ops@localhost/costs --organization Acme
    """
    from llm_cost_ops.cli.setting_up import set_up

    profile.refuse_remote("init")
    shown = set_up(profile, name, force=force, seed=seed)
    show_object(profile, shown, _show_init)
    return OK


def _show_init(profile: Profile, shown: Mapping[str, Any]) -> None:
    one = shown["organization"]
    schema = (
        "created" if shown["schema_created"] else "upgraded" if shown["upgraded"] else "current"
    )
    if not (shown["upgraded"] or shown["organization_created"]):
        print("Already initialised: nothing to do.")
    print(f"Database {shown['database']}: schema {schema}.")
    made = "created" if shown["organization_created"] else "there"
    print(f"Organization {one['name']} ({one['id']}): {made}.")
    if book := shown.get("price_book"):
        print(f"Price book {book['version']} of {book['built_at']}: {book['models']} models.")
    if shown["organization_created"]:
        profile.note("Next: cost-ops auth create-api-key --name NAME")


@command(migrate, "run", shows=DATABASE_URL)
def _run(profile: Profile) -> int:
    """Upgrade the schema to this release.

    $ cost-ops migrate run
    """
    return _upgrade(profile)


@command(migrate, "status", shows=DATABASE_URL)
def _migrate_status(profile: Profile) -> int:
    """The revision of the database and what is pending.

    $ cost-ops migrate status -o json
    """
    return _status(profile)


@command(migrate, "revert", shows=DATABASE_URL)
def _revert(
    profile: Profile,
    steps: Annotated[int, typer.Option(help="How many migrations to undo.")] = 1,
    yes: Yes = False,
) -> int:
    """Undo the last migration, and the data that only the newer schema can hold.

    $ cost-ops migrate revert --steps 1 --yes
    """
    return _downgrade(profile, f"-{_positive(steps)}", yes=yes)


@command(migrate, "reset", shows=DATABASE_URL)
def _reset(profile: Profile, yes: Yes = False) -> int:
    """Undo every migration: the ledger and everything else in the database is deleted.

    $ cost-ops migrate reset --yes
    """
    return _downgrade(profile, "base", yes=yes)


@command(db, "migrate", shows=DATABASE_URL)
def _db_migrate(
    profile: Profile,
    to: Annotated[str, typer.Option(help="Up to this revision.")] = "head",
) -> int:
    """Upgrade the schema.

    $ cost-ops db migrate
    """
    return _upgraded(profile, to)


@command(db, "rollback", shows=DATABASE_URL)
def _rollback(
    profile: Profile,
    steps: Annotated[int, typer.Option(help="How many migrations to undo.")] = 1,
    to: Annotated[
        str | None, typer.Option(help="Down to this revision; `base` deletes everything.")
    ] = None,
    yes: Yes = False,
) -> int:
    """Undo migrations, and the data that only the newer schema can hold.

    $ cost-ops db rollback --yes
    $ cost-ops db rollback --to 0001 --yes
    """
    return _downgrade(profile, to or f"-{_positive(steps)}", yes=yes)


@command(db, "status", shows=DATABASE_URL)
def _db_status(profile: Profile) -> int:
    """The database, its version, its schema, and settings that are not as they should be.

    $ cost-ops db status
    $ cost-ops db status --database-url sqlite:costs.db -o json
    """
    from llm_cost_ops.cli.examination import examine

    profile.refuse_remote("db status")
    show_object(profile, examine(profile))
    return OK


@command(db, "check", shows=DATABASE_URL)
def _check(profile: Profile) -> int:
    """Exit with 1 when migrations are pending or acknowledged calls could be lost.

    $ cost-ops db check
    """
    from llm_cost_ops.cli.examination import examine

    profile.refuse_remote("db check")
    found = examine(profile)
    problems = [] if found["up_to_date"] else [f"the schema is {found['schema']}"]
    problems += [finding["text"] for finding in found["findings"] if finding["unsafe"]]
    show_object(profile, {"ok": not problems, "problems": problems})
    return GENERAL if problems else OK


def _upgraded(profile: Profile, to: str) -> int:
    from llm_cost_ops.server.db.migrate import Migrations

    return _migrated(profile, lambda settings: Migrations().upgrade(settings, to))


def _status(profile: Profile) -> int:
    from llm_cost_ops.cli.examination import schema_of

    profile.refuse_remote("migrate status")
    show_object(profile, schema_of(profile))
    return OK


def _downgrade(profile: Profile, to: str, *, yes: bool) -> int:
    from llm_cost_ops.server.db.migrate import Migrations

    profile.refuse_remote("migrate")
    if not yes:
        _ask(profile, to)
    return _migrated(profile, lambda settings: Migrations().downgrade(settings, to))


def _ask(profile: Profile, to: str) -> None:
    """Raises CommandError unless somebody at a terminal agrees."""
    from llm_cost_ops.server.settings import mask_url

    url = mask_url(profile.settings().database.url)
    what = "deletes everything in" if to == "base" else "undoes migrations of"
    if not sys.stdin.isatty():
        raise CommandError(f"this {what} {url}: say --yes", exit_code=ARGUMENTS)
    if not typer.confirm(f"This {what} {url}. Go on?", err=True):
        raise CommandError("nothing was done")


def _migrated(profile: Profile, move: Callable[[DatabaseSettings], SchemaState]) -> int:
    from llm_cost_ops.cli.examination import schema_wire
    from llm_cost_ops.cli.ledger_home import log_quietly

    profile.refuse_remote("migrate")
    log_quietly(profile)
    settings = profile.settings().database
    state = move(settings)
    show_object(profile, schema_wire(settings, state), _show_schema)
    return OK


def _show_schema(_: Profile, shown: Mapping[str, Any]) -> None:
    at = shown["current"] or "no revision: the database is empty"
    print(f"Database {shown['database']}: {at} ({shown['schema']}).")


def _positive(steps: int) -> int:
    if steps < 1:
        raise CommandError("--steps must be at least 1", exit_code=ARGUMENTS)
    return steps
