"""Pages of time buckets, the form in which OpenAI and Anthropic report usage and costs.

A result of a bucket sums several calls. Its identity is the bucket and every dimension that the
page is grouped by, so that a later pull of the same bucket with other counts is a correction.
Which dimensions those are is read off the result: all its texts and flags that are no measure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.importers.fields import object_of, text_of
from llm_cost_ops.importers.identity import content_digest
from llm_cost_ops.importers.jsonvalues import json_values
from llm_cost_ops.importers.problem import ImportProblem, RowError, problem_at
from llm_cost_ops.importers.record import (
    AGGREGATE,
    GROWING,
    ImportOptions,
    ItemStream,
    Record,
    Row,
)

_PAGE_LISTS = ("data",)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A span of time in RFC 3339 UTC, end exclusive."""

    start: str
    end: str | None


Convert = Callable[[Row, Bucket], Record | None]


def read_buckets(
    stream: IO[bytes],
    options: ImportOptions,
    span: Callable[[Row], Bucket],
    convert: Convert,
) -> ItemStream:
    """Every result of every bucket through `convert`; None means there is nothing to record."""
    for item in json_values(stream, options.max_row_bytes, wrappers=_PAGE_LISTS):
        if isinstance(item, ImportProblem):
            yield item
            continue
        for bucket in _buckets(item.row):
            yield from _results(item.line, bucket, span, convert)


def _buckets(row: Row) -> Iterator[Row]:
    """The row itself, or the buckets of the page that it is (several pages in one array)."""
    pages = row.get("data")
    if isinstance(pages, list) and "results" not in row:
        yield from (
            cast("Row", page) for page in cast("list[object]", pages) if isinstance(page, dict)
        )
    else:
        yield row


def _results(
    line: int, bucket: Row, span: Callable[[Row], Bucket], convert: Convert
) -> Iterable[Record | ImportProblem]:
    results = bucket.get("results", bucket.get("result"))
    if not isinstance(results, list):
        yield ImportProblem(line, "results", "is no time bucket with a list of results")
        return
    try:
        when = span(bucket)
    except DomainError as error:
        yield problem_at(line, error)
        return
    for result in cast("list[object]", results):
        try:
            if not isinstance(result, dict):
                raise RowError("must be an object", field="results")
            record = convert(cast("Row", result), when)
        except DomainError as error:
            yield problem_at(line, error)
            continue
        if record is not None:
            yield record


def identify(
    record: Record,
    kind: str,
    result: Mapping[str, object],
    bucket: Bucket,
    measures: frozenset[str],
) -> Record:
    """The record with its time, its event id and the signals of a sum that may still grow."""
    dimensions = {
        name: value
        for name, value in result.items()
        if isinstance(value, str | bool) and name not in measures and name != "object"
    }
    digest = content_digest([kind, bucket.start, bucket.end, dimensions])
    return {
        **record,
        "event_id": f"{kind}:{bucket.start[:10]}:{digest}",
        "timestamp": bucket.start,
        GROWING: True,
        AGGREGATE: True,
    }


def texts(result: Mapping[str, object], *names: str) -> dict[str, str]:
    """The named texts of a result that are known. Raises RowError."""
    found = {name: text_of(result.get(name), name) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def nested(result: Mapping[str, object], name: str) -> Mapping[str, object]:
    return object_of(result.get(name), name)
