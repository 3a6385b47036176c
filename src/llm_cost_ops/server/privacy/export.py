"""Everything that is stored about a person, as JSON or as CSV files in a ZIP.

Rows that name the person in any of `PLACES`, the calls and the entries of the audit log; without
hashes of passwords, sealed secrets and the like, which are data about nobody.
"""

from __future__ import annotations

import csv
import io
import tempfile
import zipfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from typing import IO, Any

from sqlalchemy import Table, or_, select

from llm_cost_ops.core.csvcell import guarded
from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.money import from_e10, plain
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import ReadSession, read
from llm_cost_ops.server.ledger import pseudonymise
from llm_cost_ops.server.privacy.erase import PAGE, key_of, texts_of, within
from llm_cost_ops.server.privacy.places import ACCOUNT, EMAIL, ID, JSON, PLACES, SEALED, Place
from llm_cost_ops.server.privacy.rewrite import Rewriter, Subject
from llm_cost_ops.server.privacy.sealed import SEALED as SEALED_COLUMNS

_HIDDEN = frozenset(sealed.name for sealed in SEALED_COLUMNS) | {
    "accounts.password_hash", "audit_log.who_salt", "audit_log.what_salt",
}  # fmt: skip
_TOKENS = ("digest",)
_WHO = ("actor_id", "resource_id", "user_id", "user_email")
_MEMORY_BYTES = 8 * 2**20
Row = Mapping[str, Any]


def write_json(database: Database, subject: Subject, at_us: int) -> IO[bytes]:
    """A file, at its beginning, with one JSON object: tables by name, each a list of rows."""
    file = _file()
    with _closed_when_it_fails(file):
        _put_json(file, database, subject, at_us)
    file.seek(0)
    return file


def _put_json(file: IO[bytes], database: Database, subject: Subject, at_us: int) -> None:
    head = {"subject": list(subject.names), "generated_at": from_micros(at_us).isoformat()}
    file.write(dumps(head)[:-1].encode() + b',"data":{')
    for number, (name, rows) in enumerate(tables(database, subject)):
        file.write(b"," * (number > 0) + dumps(name).encode() + b":[")
        for place, row in enumerate(rows):
            file.write(b",\n" * (place > 0) + dumps(row).encode())
        file.write(b"]")
    file.write(b"}}\n")


def write_zip(database: Database, subject: Subject, at_us: int) -> IO[bytes]:
    """A file, at its beginning: a ZIP with a CSV for each table that has rows, and no formulas."""
    file = _file()
    with _closed_when_it_fails(file):
        _put_zip(file, database, subject, at_us)
    file.seek(0)
    return file


def _put_zip(file: IO[bytes], database: Database, subject: Subject, at_us: int) -> None:
    moment = from_micros(at_us).timetuple()[:6]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, rows in tables(database, subject):
            first = next(rows, None)
            if first is None:
                continue
            entry = zipfile.ZipInfo(f"{name}.csv", moment)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as raw:
                text = io.TextIOWrapper(raw, encoding="utf-8", newline="")
                writer = csv.writer(text)
                writer.writerow(first)
                writer.writerow([cell(value) for value in first.values()])
                writer.writerows([cell(value) for value in row.values()] for row in rows)
                text.flush()
                text.detach()


@contextmanager
def _closed_when_it_fails(file: IO[bytes]) -> Generator[None]:
    try:
        yield
    except BaseException:
        file.close()
        raise


def _file() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(_MEMORY_BYTES)


def cell(value: object) -> str:
    """A value as text that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    return guarded(value if isinstance(value, str) else dumps(value))


def tables(database: Database, subject: Subject) -> Iterator[tuple[str, Iterator[Row]]]:
    """Names of tables and their rows about the person, each to be gone through in turn."""
    seeker = Rewriter(subject, "\0")
    for table in pseudonymise.TABLES:
        yield table.name, _calls(database, table, subject, seeker)
    places = sorted((p for p in PLACES if p.erased != SEALED), key=lambda p: p.table.name)
    for name, group in groupby(places, key=attrgetter("table.name")):
        found = list(group)
        yield name, _mentions(database, found[0].table, found, subject, seeker)
    yield audit_log.name, _audit(database, subject)


def _calls(database: Database, table: Table, subject: Subject, seeker: Rewriter) -> Iterator[Row]:
    organization_id, after = subject.organization_id, ""
    while True:
        with read(database) as session:
            rows = pseudonymise.calls_of(session, organization_id, table, subject.user_ids, after)
        yield from (shown(table, row) for row in rows)
        if len(rows) < pseudonymise.PAGE:
            break
        after = rows[-1]["id"]
    after = ""
    while True:
        with read(database) as session:
            page = pseudonymise.labelled(session, organization_id, table, after, pseudonymise.PAGE)
            ids = [
                r["id"]
                for r in page
                if any(r[n] and seeker.json(r[n]) for n in ("tags", "metadata"))
            ]
            found = pseudonymise.rows_by_id(session, organization_id, table, ids)
        yield from (shown(table, row) for row in found if row["user_id"] not in subject.user_ids)
        if len(page) < pseudonymise.PAGE:
            return
        after = page[-1]["id"]


def _mentions(
    database: Database, table: Table, places: Sequence[Place], subject: Subject, seeker: Rewriter
) -> Iterator[Row]:
    key = key_of(table)
    with read(database) as session:
        keys = _keyed(session, table, places, subject)
    for place in places:
        if place.holds not in (ID, ACCOUNT, EMAIL) and "organization_id" in _scoped(table):
            keys |= _texts(database, place, subject, seeker)
    ordered = sorted(keys)
    for start in range(0, len(ordered), PAGE):
        chunk = ordered[start : start + PAGE]
        own = within(table, subject.organization_id) if _scoped(table) else []
        query = select(table).where(key.in_(chunk), *own).order_by(key)
        with read(database) as session:
            rows = list(session.execute(query).mappings().all())
        yield from (shown(table, row) for row in rows)


def _scoped(table: Table) -> tuple[str, ...]:
    return (
        ("organization_id",)
        if "organization_id" in table.c or table.name == "organizations"
        else ()
    )


def _keyed(
    session: ReadSession, table: Table, places: Sequence[Place], subject: Subject
) -> set[str]:
    """Keys of the rows whose ids are the person's."""
    by = {ID: subject.user_ids, ACCOUNT: subject.account_ids, EMAIL: subject.emails}
    conditions = [table.c[p.column].in_(by[p.holds]) for p in places if p.holds in by]
    if not conditions:
        return set()
    own = within(table, subject.organization_id) if _scoped(table) else []
    query = select(key_of(table)).where(or_(*conditions), *own)
    if not own:  # what is an account's: those of this person alone
        mine = [table.c[p.column].in_(by[ACCOUNT]) for p in places if p.holds == ACCOUNT]
        query = select(key_of(table)).where(or_(*mine))
    return {str(one) for one in session.execute(query).scalars()}


def _texts(database: Database, place: Place, subject: Subject, seeker: Rewriter) -> set[str]:
    found: set[str] = set()
    after = ""
    while True:
        with read(database) as session:
            rows = texts_of(session, place, subject.organization_id, after)
        for key, text in rows:
            hit = seeker.json(text) if place.holds == JSON else seeker.plain(text)
            if hit is not None:
                found.add(key)
        if len(rows) < PAGE:
            return found
        after = rows[-1][0]


def _audit(database: Database, subject: Subject) -> Iterator[Row]:
    row, after = audit_log.c, ""
    columns = [row[name] for name in _WHO if name in row]
    mine = or_(*(column.in_(subject.names) for column in columns))
    while True:
        query = (
            select(audit_log)
            .where(row.organization_id == subject.organization_id, mine, row.id > after)
            .order_by(row.id)
            .limit(PAGE)
        )
        with read(database) as session:
            rows = list(session.execute(query).mappings().all())
        yield from (shown(audit_log, one) for one in rows)
        if len(rows) < PAGE:
            return
        after = rows[-1]["id"]


def shown(table: Table, row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row for people: money as amounts, without what is nobody's data."""
    made: dict[str, Any] = {}
    for column in table.columns:
        if f"{table.name}.{column.name}" in _HIDDEN or column.name in _TOKENS:
            continue
        value: Any = row[column.name]
        if column.name.endswith("_e10"):
            made[column.name.removesuffix("_e10")] = (
                None if value is None else plain(from_e10(value))
            )
        else:
            made[column.name] = (
                value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            )
    return made
