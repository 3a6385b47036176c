"""Giving rates and taking them back: one by one, or a file of them, all or none.

A rate is not changed in place: a report that printed it could then not be told from one that did
not. Who gave a wrong one deletes it and gives another; the audit log has both.
"""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import zip_longest

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.exchange import ExchangeRate, ExchangeRateError, parse_rate
from llm_cost_ops.core.ids import batch_ids, batch_stem
from llm_cost_ops.core.instant import parse_day
from llm_cost_ops.core.money import check_currency, plain
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.identity.fields import clean_name
from llm_cost_ops.server.identity.last_admin import hold_organization
from llm_cost_ops.server.rates import store
from llm_cost_ops.server.rates.store import Kept, key_of

MAX_ROWS = 10_000
MAX_SHOWN = 20
COLUMNS = ("from_currency", "to_currency", "date", "rate", "source")
_SHORT = {"from": "from_currency", "to": "to_currency", "day": "date"}
_TYPE = "exchange_rate"


class RateUnknown(DomainError):
    """The organization has no such rate."""

    code = "NOT_FOUND"


class RateExists(DomainError):
    """Another rate was given for the pair and day."""

    code = "CONFLICT"

    def __init__(self, kept: Kept) -> None:
        one, other, day = self.key = kept.key
        rate = plain(kept.rate.rate)
        super().__init__(
            f"{one} to {other} on {day.isoformat()} is {rate} of {kept.rate.source!r}: "
            f"delete {kept.id} first",
            field="rate",
        )


class RatesRefused(DomainError):
    """A file of rates of which nothing is taken; `field_errors` has its lines."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        shown = dict(list(faults.items())[:MAX_SHOWN])
        line, text = next(iter(shown.items()))
        more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"{text}{more}; nothing was imported", field=line)
        self._faults = shown

    @property
    def field_errors(self) -> dict[str, str]:
        return self._faults


def rate_of(fields: Mapping[str, object]) -> ExchangeRate:
    """A rate from what was written. Raises DomainError with the field at fault."""
    for name in COLUMNS:
        if fields.get(name) in (None, ""):
            raise ExchangeRateError("is required", field=name)
    return ExchangeRate(
        check_currency(fields["from_currency"], "from_currency"),
        check_currency(fields["to_currency"], "to_currency"),
        parse_day(fields["date"], "date"),
        parse_rate(fields["rate"]),
        clean_name(str(fields["source"]), "source"),
    )


def give(session: WriteSession, actor: Actor, rate: ExchangeRate) -> Kept:
    """Keep a rate; the same one again is the one that is kept. Raises RateExists."""
    ((kept, is_new),) = _give(session, actor, [rate])
    if is_new:
        actor.record(session, "exchange_rate.created", _TYPE, kept.id, None, told(kept))
    return kept


def take_back(session: WriteSession, actor: Actor, rate_id: str) -> None:
    """Forget a rate. Raises RateUnknown."""
    hold_organization(session, actor.organization_id)
    kept = store.get(session, actor.organization_id, rate_id)
    if kept is None:
        raise RateUnknown("Exchange rate not found")
    store.remove(session, actor.organization_id, rate_id)
    actor.record(session, "exchange_rate.deleted", _TYPE, rate_id, told(kept), None)


def give_file(session: WriteSession, actor: Actor, text: str) -> dict[str, int]:
    """Keep the rates of a CSV file: how many are new, and how many were known. Raises RatesRefused,
    of which nothing is taken."""
    lines = read_lines(text)
    faults: dict[str, str] = {}
    rates: list[tuple[int, ExchangeRate]] = []
    seen: dict[store.Key, ExchangeRate] = {}
    for line, fields in lines:
        try:
            rate = rate_of(fields)
        except DomainError as error:
            faults[f"line {line}"] = f"{error.field} {error.message}"
            continue
        if not _same(seen.setdefault(key_of(rate), rate), rate):
            faults[f"line {line}"] = "another rate of this pair and day stands above"
        rates.append((line, rate))
    if faults:
        raise RatesRefused(faults)
    try:
        given = _give(session, actor, list(seen.values()))
    except RateExists as error:
        line = next(line for line, rate in rates if key_of(rate) == error.key)
        raise RatesRefused({f"line {line}": error.message}) from None
    created = [kept for kept, is_new in given if is_new]
    if created:
        days = sorted(kept.rate.day for kept in created)
        after = {
            "created": len(created),
            "first_date": days[0].isoformat(),
            "last_date": days[-1].isoformat(),
            "sha256": sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        }
        actor.record(session, "exchange_rate.imported", _TYPE, created[0].id, None, after)
    return {"created": len(created), "unchanged": len(rates) - len(created)}


def read_lines(text: str) -> list[tuple[int, dict[str, object]]]:
    """The rows of a CSV file by column, with their lines. Raises RatesRefused."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    rows: list[tuple[int, dict[str, object]]] = []
    try:
        first: list[str] = next(reader, None) or []
        names = [_SHORT.get(name.strip().lower(), name.strip().lower()) for name in first]
        if sorted(names) != sorted(COLUMNS):
            raise RatesRefused({"line 1": f"must name the columns {', '.join(COLUMNS)}"})
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if len(values) > len(names):
                raise RatesRefused({f"line {reader.line_num}": "has too many values"})
            if len(rows) >= MAX_ROWS:
                raise RatesRefused({f"line {reader.line_num}": f"there are over {MAX_ROWS} rows"})
            pairs = zip_longest(names, (value.strip() for value in values), fillvalue="")
            rows.append((reader.line_num, dict(pairs)))
    except csv.Error as error:
        raise RatesRefused({f"line {reader.line_num}": f"is no CSV: {error}"}) from None
    if not rows:
        raise RatesRefused({"line 2": "there is no rate"})
    return rows


def told(kept: Kept) -> dict[str, object]:
    """A rate as the audit log has it."""
    rate = kept.rate
    return {
        "from_currency": rate.from_currency,
        "to_currency": rate.to_currency,
        "date": rate.day.isoformat(),
        "rate": plain(rate.rate),
        "source": rate.source,
    }


def _give(
    session: WriteSession, actor: Actor, rates: Sequence[ExchangeRate]
) -> list[tuple[Kept, bool]]:
    """What is kept of each, and whether it is new. Raises RateExists."""
    hold_organization(session, actor.organization_id)
    known = store.known(session, actor.organization_id, map(key_of, rates))
    new: list[Kept] = []
    given: list[tuple[Kept, bool]] = []
    ids = iter(
        batch_ids(batch_stem("fxr", actor.now_us // 1_000, secrets.randbits(60)), len(rates))
    )
    for rate in rates:
        kept = known.get(key_of(rate))
        if kept is None:
            kept = Kept(next(ids), rate, actor.actor_id, actor.now_us)
            new.append(kept)
            given.append((kept, True))
        elif _same(kept.rate, rate):
            given.append((kept, False))
        else:
            raise RateExists(kept)
    if new:
        store.add(session, actor.organization_id, new)
    return given


def _same(one: ExchangeRate, other: ExchangeRate) -> bool:
    return one.rate == other.rate and one.source == other.source
