"""`pricing import`: own prices from CSV, JSON, JSON lines or YAML, each set once."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from llm_cost_ops.cli.failure import ARGUMENTS, GENERAL, OK, CommandError
from llm_cost_ops.cli.output import Column, Listing, Row, show_rows
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.core.errors import AmountError
from llm_cost_ops.core.instant import parse_end, parse_instant
from llm_cost_ops.core.jsontext import JsonError, loads
from llm_cost_ops.core.money import parse_decimal
from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.exceptions import APIError

if TYPE_CHECKING:
    from llm_cost_ops.cli.connect import Api

PER_TOKEN = {
    "input_price": "input_price_per_million",
    "output_price": "output_price_per_million",
    "cached_price": "cached_input_price_per_million",
    "cached_input_price": "cached_input_price_per_million",
    "cache_write_price": "cache_write_price_per_million",
    "reasoning_price": "reasoning_price_per_million",
}
PLAIN = (
    "provider", "model", "currency", "effective_date", "end_date", "region", "service_tier",
    "processing",
)  # fmt: skip
NESTED = ("pricing_structure", "prices")
MAX_BYTES = 16 * 2**20
COLUMNS = (
    Column("row", kind="count"),
    Column("provider"),
    Column("model"),
    Column("effective_date", "from"),
    Column("result"),
    Column("id", optional=True),
    Column("priced_records", "calls priced", "count", optional=True),
    Column("error", optional=True),
)
FIELDS = tuple(column.name for column in COLUMNS)
_Key = tuple[object, ...]


def import_prices(profile: Profile, file: str, effective_date: str | None, *, dry_run: bool) -> int:
    """Set the prices of a file; the exit code is 1 when one was refused."""
    from llm_cost_ops.cli.connect import connected
    from llm_cost_ops.client.clock import utc_now

    start = effective_date or utc_now().date().isoformat()
    bodies = [_body(row, start) for row in _read(file)]
    with connected(profile) as api:
        known = _own_prices(api)
        rows = [
            _set(api, number, body, known, dry_run=dry_run)
            for number, body in enumerate(bodies, start=1)
        ]
    results = [row["result"] for row in rows]
    counts = {name: results.count(name) for name in dict.fromkeys(results)}
    show_rows(profile, rows, Listing(COLUMNS, FIELDS, counts, empty="The file holds no price."))
    if dry_run:
        profile.note("Dry run: nothing was changed.")
    return GENERAL if "refused" in counts else OK


def _read(file: str) -> Iterator[Mapping[str, Any]]:
    """The rows of the file. Raises CommandError."""
    if file == "-":
        data, suffix = sys.stdin.buffer.read(MAX_BYTES + 1), ""
    else:
        path = Path(file)
        if not path.is_file():
            raise CommandError(f"{file}: there is no such file", exit_code=ARGUMENTS)
        with path.open("rb") as stream:
            data, suffix = stream.read(MAX_BYTES + 1), path.suffix.lower()
    if len(data) > MAX_BYTES:
        raise CommandError(f"{file}: larger than {MAX_BYTES} bytes")
    try:
        rows = _parsed(data.decode("utf-8-sig"), suffix)
    except (UnicodeDecodeError, JsonError, csv.Error) as error:
        raise CommandError(f"{file}: {error}") from None
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise CommandError(f"{file}, row {number}: must be an object")
        yield cast("Mapping[str, Any]", row)


def _parsed(text: str, suffix: str) -> Sequence[Any]:
    beginning = text.lstrip()[:1]
    if suffix in (".yaml", ".yml"):
        return _listed(_yaml(text))
    if beginning in ("{", "["):
        lines = [line for line in text.splitlines() if line.strip()]
        if beginning == "{" and len(lines) > 1 and all(line[0] == "{" for line in lines):
            return [loads(line) for line in lines]
        return _listed(loads(text))
    delimiter = "\t" if suffix == ".tsv" else ","
    return list(csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True))


def _listed(value: Any) -> Sequence[Any]:
    """An array, or the array that an object wraps, or a single object."""
    if isinstance(value, Mapping):
        outer = cast("Mapping[str, Any]", value)
        for name in ("data", "prices", "pricing"):
            if isinstance(outer.get(name), list) and "model" not in outer:
                return cast("Sequence[Any]", outer[name])
        return [outer]
    if isinstance(value, list):
        return cast("Sequence[Any]", value)
    raise CommandError("the file must hold a list of prices")


def _yaml(text: str) -> Any:
    """YAML whose numbers and dates stay the texts that they are written as."""
    import yaml

    try:
        return yaml.load(text, yaml.BaseLoader)  # noqa: S506 - makes texts, lists and maps only  # nosec B506
    except yaml.YAMLError as error:
        raise CommandError(f"not valid YAML: {' '.join(str(error).split())}") from None


def _body(row: Mapping[str, Any], start: str) -> dict[str, Any]:
    """The body of POST /api/v1/pricing for one row; unknown columns are left for the API to
    refuse by name."""
    given = {str(k).strip(): v for k, v in row.items() if v is not None and v != ""}
    terms = {PER_TOKEN[name]: given.pop(name) for name in list(given) if name in PER_TOKEN}
    body: dict[str, Any] = {"effective_date": start, "currency": "USD"}
    for name, value in given.items():
        nested = name in NESTED and isinstance(value, str)
        body[name] = loads(value) if nested else value.strip() if isinstance(value, str) else value
    if terms:
        body["pricing_structure"] = {"type": "per_token", **terms}
    return body


def _own_prices(api: Api) -> dict[_Key, Row]:
    """The organization's prices by what they are for and since when."""
    walk = api.walk("/pricing", {"source": "organization", "active_only": False}, None)
    return {_key(row): row for row in walk}


def _key(row: Row) -> _Key:
    start = row.get("effective_date")
    provider = str(row.get("provider"))
    return (
        provider_id(provider) or provider,
        row.get("model"),
        row.get("region"),
        row.get("service_tier") or "standard",
        row.get("processing") or "realtime",
        parse_instant(start, "effective_date"),
    )


def _set(
    api: Api, number: int, body: dict[str, Any], known: dict[_Key, Row], *, dry_run: bool
) -> dict[str, Any]:
    shown: dict[str, Any] = {"row": number, **{name: body.get(name) for name in PLAIN[:2]}}
    shown["effective_date"] = body["effective_date"]
    try:
        found = known.get(_key(body))
        if found is not None and _same(body, found):
            return {**shown, "result": "unchanged", "id": found["id"]}
        result = "created" if found is None else "updated"
        if dry_run:
            return {**shown, "result": result}
        made = _sent(api, body, found)
        known[_key(body)] = made
    except APIError as error:
        return {**shown, "result": "refused", "error": _reason(error)}
    except (AmountError, ValueError) as error:
        return {**shown, "result": "refused", "error": str(error)}
    priced = made.get("priced_records")
    return {**shown, "result": result, "id": made["id"], "priced_records": priced}


def _sent(api: Api, body: dict[str, Any], found: Row | None) -> Row:
    from llm_cost_ops.cli.connect import path_of

    if found is None:
        return api.change("POST", "/pricing", body)
    return api.change("PUT", path_of("pricing", found["id"]), body)


def _reason(error: APIError) -> str:
    fields = cast("Mapping[str, str]", getattr(error, "field_errors", {}))
    return "; ".join(f"{name} {text}" for name, text in fields.items()) or error.message


def _same(body: Mapping[str, Any], row: Row) -> bool:
    """Whether the price that is there says what the file says."""
    for name in ("currency", "end_date"):
        wanted, there = body.get(name), row.get(name)
        if name == "end_date" and wanted is not None and there is not None:
            wanted, there = parse_end(wanted), parse_end(there)
        if wanted != there:
            return False
    field = "prices" if "prices" in body else "pricing_structure"
    return _plain(body.get(field)) == _plain(row.get(field))


def _plain(value: Any) -> Any:
    """The value with numbers and decimal texts alike as numbers."""
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, Any]", value).items()
        return {k: _plain(v) for k, v in pairs if v not in (None, [], {})}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return value
    try:
        return parse_decimal(value, "price")
    except AmountError:
        return value
