"""Many users from a CSV file: each row for itself, and a report that names what became of each.

Columns: email, name, role, teams (separated by commas or semicolons), first_name, last_name,
external_id, user_id; any other column becomes a field of the metadata.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.admin.people import make_user
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, write_retrying
from llm_cost_ops.server.identity.users import NewUser

MAX_ROWS = 5_000
MAX_COLUMNS = 100
OWN_COLUMNS = frozenset(
    {"email", "name", "role", "teams", "first_name", "last_name", "external_id", "user_id"}
)


class ImportRefused(DomainError):
    """A file that is no CSV of users, of which nothing is taken."""


class _Undone(Exception):
    """Ends the transaction of a row that was only tried."""


@dataclass(frozen=True, slots=True)
class Row:
    """What became of a line of the file; the header is line 1. `status` is `created`, `valid` (of
    a dry run) or `failed`."""

    line: int
    email: str
    status: str
    user_id: str | None = None
    code: str | None = None
    message: str | None = None
    field: str | None = None

    def wire(self) -> dict[str, object]:
        """The row as the API shows it."""
        return {name: getattr(self, name) for name in Row.__slots__}


def read_rows(text: str) -> list[tuple[int, Mapping[str, str]]]:
    """The rows with their lines. Raises ImportRefused."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        first: list[str] = next(reader, None) or []
        header = [name.strip().lower().replace(" ", "_") for name in first]
        if "email" not in header or len(set(header)) != len(header) or len(header) > MAX_COLUMNS:
            raise ImportRefused(
                "must begin with a line of different columns, email among them", field="csv"
            )
        rows: list[tuple[int, Mapping[str, str]]] = []
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if len(values) > len(header):
                raise ImportRefused(f"line {reader.line_num} has too many values", field="csv")
            if len(rows) >= MAX_ROWS:
                raise ImportRefused(f"must have at most {MAX_ROWS} rows", field="csv")
            rows.append((reader.line_num, dict(zip(header, values, strict=False))))
    except csv.Error as error:
        raise ImportRefused(f"line {reader.line_num} is no CSV: {error}", field="csv") from None
    return rows


def import_users(
    database: Database,
    principal: Principal,
    actor: Callable[[], Actor],
    text: str,
    *,
    dry_run: bool = False,
    welcome: bool = False,
) -> list[Row]:
    """Make a user of each row, in a transaction of its own: one that cannot be made keeps none of
    the others. A dry run undoes each. Raises ImportRefused."""
    rows = read_rows(text)
    return [_one(database, principal, actor(), line, row, dry_run, welcome) for line, row in rows]


def _one(
    database: Database,
    principal: Principal,
    actor: Actor,
    line: int,
    row: Mapping[str, str],
    dry_run: bool,
    welcome: bool,
) -> Row:
    email = row.get("email", "").strip()

    def work(session: WriteSession) -> str:
        made = make_user(
            session, actor, principal, _new(row), team_texts=_teams(row), welcome=welcome
        )
        if dry_run:
            raise _Undone
        return made.id

    try:
        return Row(line, email, "created", write_retrying(database, work))
    except _Undone:
        return Row(line, email, "valid")
    except DomainError as error:
        return Row(line, email, "failed", None, error.code, error.message, error.field)


def _new(row: Mapping[str, str]) -> NewUser:
    given = {name: value.strip() or None for name, value in row.items()}
    metadata = {name: value for name, value in given.items() if name not in OWN_COLUMNS and value}
    return NewUser(
        email=given.get("email") or "",
        name=given.get("name"),
        given_name=given.get("first_name"),
        family_name=given.get("last_name"),
        external_id=given.get("external_id"),
        metadata=metadata,
        role=given.get("role"),
        user_id=given.get("user_id"),
    )


def _teams(row: Mapping[str, str]) -> list[str]:
    texts = row.get("teams", "").replace(";", ",").split(",")
    return [text.strip() for text in texts if text.strip()]
