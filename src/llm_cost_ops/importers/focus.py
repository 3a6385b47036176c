"""Our own FOCUS files (CSV, Parquet; every version): costs by charge period, added up.

FOCUS has a row per kind of usage. Those of one charge period that share model, terms and labels are
one record here: its cost is the sum of theirs, its counts hold theirs by kind, and it stands for as
many calls. So the sums of costs, calls and kinds are those of the file. Calls without a price are a
record of their own, which waits for one. A correction that takes away more than it adds is no
record: it is refused with all of its group, of which a part alone would count twice. What FOCUS
does not carry cannot come back: single calls with their event ids and instants, latency, and tokens
of costs that came without kinds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import IO

from llm_cost_ops.core.instant import format_instant
from llm_cost_ops.core.usage import ANCESTORS
from llm_cost_ops.importers.fields import amount_of, object_of, text_of
from llm_cost_ops.importers.identity import content_digest
from llm_cost_ops.importers.lines import peek
from llm_cost_ops.importers.parquet import parquet_rows
from llm_cost_ops.importers.problem import (
    ImportFormatError,
    ImportProblem,
    NothingToBill,
    RowError,
    problem_at,
)
from llm_cost_ops.importers.record import LINE, ImportOptions, ItemStream, Record, Row, RowStream
from llm_cost_ops.importers.tabular import csv_rows, mapped, mapping_for

SOURCE = "focus"
OURS = frozenset({"BilledCost", "ChargePeriodStart", "SkuId", "x_TokenKind", "x_CostStatus"})
_PARQUET = b"PAR1"
_KEY = (
    "ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "ChargeClass", "BillingCurrency",
    "x_ModelId", "x_ServiceTier", "x_Processing", "RegionId", "SubAccountId", "x_Team",
    "x_ConsumerId", "x_Environment", "x_Feature", "x_CredentialId", "Tags",
)  # fmt: skip
_FIELDS = {
    "x_ServiceTier": "service_tier", "x_Processing": "processing", "RegionId": "region",
    "SubAccountId": "project_id", "x_Team": "team_id", "x_ConsumerId": "user_id",
    "x_Environment": "environment", "x_Feature": "feature", "x_CredentialId": "api_key_id",
}  # fmt: skip
_BOUGHT = ("Commitment", "Purchase")
_UNPRICED, _PARTIALLY = "unpriced", "partially_priced"
_TAKES_AWAY = (
    "is a correction that takes away more than it adds, which no record can: import an export with "
    "--type calls, or of dates that are not one whole month, which has the calls as they are now"
)


@dataclass(frozen=True, slots=True)
class _Charge:
    """A row, without what it shares with others. `price` is what rated its calls, if anything."""

    line: int
    status: str | None
    price: tuple[str | None, str | None]
    cost: Decimal
    list_cost: Decimal
    kind: str | None
    quantity: Decimal
    requests: Decimal
    metadata: str | None


@dataclass(slots=True)
class _Group:
    """What rows with one key add up to."""

    line: int
    key: Mapping[str, str | None]
    provider: str
    is_unpriced: bool
    cost: Decimal = Decimal(0)
    list_cost: Decimal = Decimal(0)
    requests: Decimal = Decimal(0)
    is_partial: bool = False
    kinds: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    metadata: set[str | None] = field(default_factory=set[str | None])

    def add(self, charge: _Charge) -> None:
        self.cost += charge.cost
        self.list_cost += charge.list_cost
        self.requests += charge.requests
        self.is_partial |= charge.status in (_UNPRICED, _PARTIALLY)
        kind = charge.kind
        if kind is not None and kind in ANCESTORS and kind != "requests":
            self.kinds[kind] = self.kinds.get(kind, Decimal(0)) + charge.quantity
        self.metadata.add(charge.metadata)

    @property
    def takes_away(self) -> bool:
        """Whether anything of it is below zero, as no record can be."""
        sums = (self.cost, self.list_cost, self.requests, *self.kinds.values())
        return min(sums) < 0


_Identity = tuple[str | None, ...]


class _Period:
    """The groups of one charge period. Usage without a cost is that of calls without a price, or
    what has none of calls that are priced in part: only the other rows of its group tell."""

    def __init__(self) -> None:
        self.groups: dict[_Identity, _Group] = {}
        self._undecided: list[tuple[dict[str, str | None], str, _Charge]] = []
        self._partial: set[tuple[_Identity, tuple[str | None, str | None]]] = set()

    def add(self, key: dict[str, str | None], provider: str, charge: _Charge) -> None:
        if charge.status == _PARTIALLY:
            self._partial.add(((*key.values(), provider), charge.price))
        if charge.status != _UNPRICED:
            self._put(key, provider, charge, is_unpriced=False)
        elif charge.price == (None, None):
            self._put(key, provider, charge, is_unpriced=True)
        elif key["ChargeClass"] is not None:
            # What a correction takes back here it adds elsewhere: apart, it would count calls twice
            self._put(key, provider, charge, is_unpriced=False)
        elif charge.requests:  # the calls of a partial cost are counted where the cost stands
            self._put(key, provider, charge, is_unpriced=True)
        else:
            self._undecided.append((key, provider, charge))

    def items(self) -> ItemStream:
        for key, provider, charge in self._undecided:
            is_partial = ((*key.values(), provider), charge.price) in self._partial
            self._put(key, provider, charge, is_unpriced=not is_partial)
        lines: dict[_Identity, int] = {}
        for (*shared, _), group in self.groups.items():
            if group.takes_away and group.key["ChargeClass"] is not None:
                lines.setdefault(tuple(shared), group.line)
        for line in sorted(lines.values()):
            yield ImportProblem(line, "ChargeClass", _TAKES_AWAY)
        kept = {i: group for i, group in self.groups.items() if i[:-1] not in lines}
        yield from _records(kept)

    def _put(
        self, key: dict[str, str | None], provider: str, charge: _Charge, *, is_unpriced: bool
    ) -> None:
        identity = (*key.values(), provider, str(is_unpriced))
        group = self.groups.get(identity)
        if group is None:
            group = self.groups[identity] = _Group(charge.line, key, provider, is_unpriced)
        group.add(charge)


def is_focus(columns: Iterable[str]) -> bool:
    """Whether a table with these columns is a FOCUS dataset of ours."""
    return set(columns) >= OURS


def read_focus(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    """Raises ImportFormatError for a dataset that is not ours."""
    if peek(stream, len(_PARQUET)).startswith(_PARQUET):
        header, rows = parquet_rows(stream)
    else:
        header, rows = csv_rows(stream, options.delimiter or ",", options.max_row_bytes)
    if not is_focus(header):
        raise ImportFormatError(
            f"only FOCUS files of ours have what is needed: {', '.join(sorted(OURS))}"
        )
    return _items(rows)


def read_parquet_table(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    """Any Parquet file by its mapping; without one, a FOCUS dataset of ours is told by its columns.

    Raises ImportFormatError.
    """
    header, rows = parquet_rows(stream)
    if options.mapping is None and is_focus(header):
        return _items(rows)
    return mapped(rows, mapping_for(options, header), options, source="parquet")


def _items(rows: RowStream) -> ItemStream:
    """Records charge period by charge period, so that memory holds the groups of one."""
    period, current = _Period(), ""
    for item in rows:
        if isinstance(item, ImportProblem):
            yield item
            continue
        try:
            key = _key(item.row)
            start = key["ChargePeriodStart"] or ""
            if start < current:
                raise RowError("must not be before that of the row above", field=_KEY[0])
            if start != current:
                yield from period.items()
                period, current = _Period(), start
            period.add(key, _provider(item.row), _charge(item.line, item.row))
        except RowError as error:
            yield problem_at(item.line, error)
    yield from period.items()


def _key(row: Row) -> dict[str, str | None]:
    key = {name: _text(row, name) for name in _KEY if name != "Tags"}
    key["Tags"] = _text_of_any_length(row, "Tags")
    if key["x_ModelId"] is None and _is_no_call(row):
        raise NothingToBill("is of no call: enter the charge itself", field="ChargeCategory")
    for name in ("ChargePeriodStart", "BillingCurrency", "x_ModelId"):
        if key[name] is None:
            raise RowError("is required: only charges of calls can be imported", field=name)
    return key


def _is_no_call(row: Row) -> bool:
    """Whether a row is of a commitment, of another purchase, or a credit."""
    return _text(row, "ResourceType") in _BOUGHT or _text(row, "ChargeCategory") == "Credit"


def _text(row: Row, name: str) -> str | None:
    value = row.get(name)
    if isinstance(value, datetime):
        return format_instant(value if value.tzinfo else value.replace(tzinfo=UTC))
    return text_of(value, name)


def _provider(row: Row) -> str:
    provider = (_text(row, "SkuId") or "").partition("/")[0].replace("%2F", "/")
    if not provider:
        raise RowError("is required", field="SkuId")
    return provider


def _charge(line: int, row: Row) -> _Charge:
    return _Charge(
        line=line,
        status=_text(row, "x_CostStatus"),
        price=(_text(row, "x_PriceVersion"), _text(row, "x_PriceRule")),
        cost=_number(row, "ContractedCost"),
        list_cost=_number(row, "ListCost"),
        kind=_text(row, "x_TokenKind"),
        quantity=_number(row, "ConsumedQuantity"),
        requests=_number(row, "x_RequestCount"),
        metadata=_text_of_any_length(row, "x_Metadata"),
    )


def _text_of_any_length(row: Row, name: str) -> str | None:
    value = row.get(name)
    return value if isinstance(value, str) and value else None


def _number(row: Row, name: str) -> Decimal:
    return amount_of(row.get(name), name) or Decimal(0)


def _records(groups: Mapping[_Identity, _Group]) -> Iterator[Record]:
    for identity, group in groups.items():
        key = group.key
        usage = _inclusive(group.kinds)
        requests = max(int(group.requests), 0)
        record: Record = {
            "source": SOURCE,
            "event_id": content_digest(list(identity)),
            "timestamp": key["ChargePeriodStart"],
            "provider": group.provider,
            "model": key["x_ModelId"],
            "tags": _tags(key["Tags"]),
            "metadata": _metadata(group.metadata),
            LINE: group.line,
        }
        record |= {name: key[column] for column, name in _FIELDS.items()}
        if group.is_unpriced:
            record["usage"] = usage | ({"requests": requests} if requests > 1 or not usage else {})
        else:
            record |= {
                "usage": usage,
                "cost": group.cost,
                "list_cost": group.list_cost,
                "currency": key["BillingCurrency"],
                "partially_priced": True if group.is_partial else None,
                "requests": None if requests == 1 else requests,
            }
        yield record


def _inclusive(kinds: Mapping[str, Decimal]) -> dict[str, int | Decimal]:
    """Quantities that do not overlap as counts that contain their parts. What a correction took
    away is not a quantity."""
    sums: dict[str, Decimal] = {}
    for kind, quantity in kinds.items():
        if quantity > 0:
            for whole in (kind, *ANCESTORS[kind]):
                sums[whole] = sums.get(whole, Decimal(0)) + quantity
    return {
        kind: int(total) if total == total.to_integral_value() else total
        for kind, total in sums.items()
    }


def _tags(text: str | None) -> list[str] | None:
    """`{"team": "search", "plain": true}` as tags again."""
    found = object_of(text, "Tags")
    return [key if value is True else f"{key}:{value}" for key, value in found.items()] or None


def _metadata(texts: set[str | None]) -> Mapping[str, object] | None:
    """That of all rows, where they share one."""
    if len(texts) != 1:
        return None
    return object_of(next(iter(texts)), "x_Metadata") or None
