"""Exports over HTTP: a table as a file, streamed while it is read."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from itertools import chain
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from llm_cost_ops.core.focus.columns import VERSIONS
from llm_cost_ops.core.focus.metadata import metadata_document
from llm_cost_ops.core.focus.periods import GRAINS
from llm_cost_ops.core.instant import to_micros
from llm_cost_ops.core.months import MONTH_PATTERN
from llm_cost_ops.core.pricing.book import PriceBook
from llm_cost_ops.server.access.change import actor_of
from llm_cost_ops.server.access.deps import require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.analytics import schemas
from llm_cost_ops.server.analytics.asked import Asked
from llm_cost_ops.server.analytics.request import home
from llm_cost_ops.server.analytics.routes import asked_in_url
from llm_cost_ops.server.db.session import read, write_retrying
from llm_cost_ops.server.exports.allowed import EXPORT, allowed
from llm_cost_ops.server.exports.asked import (
    BILLING_PERIOD,
    FOCUS_FILES,
    TYPES,
    Sources,
    kind_named,
    wanted_of,
)
from llm_cost_ops.server.exports.books import as_booked
from llm_cost_ops.server.exports.forms import ALIASES, COMPRESSED, FOCUS, MEDIA_TYPES
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import JSON, answers
from llm_cost_ops.server.http.problems import invalid
from llm_cost_ops.server.http.routing import refuse_unknown
from llm_cost_ops.server.pricing import deps as deps_of_pricing
from llm_cost_ops.server.pricing.change import Untimed

Exporter = Depends(require(EXPORT, conditions="applied"))

SCHEMA_US = 1_795_737_600_000_000
"""When the columns of our datasets were last changed: 2026-11-27, in microseconds."""

router = APIRouter(prefix="/api/v1", tags=["exports"])

_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {
            media.partition(";")[0]: {"schema": {} if media == JSON else {"type": "string"}}
            for media in (*MEDIA_TYPES.values(), *COMPRESSED.values())
        },
    }
}


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name, "in": "query", "required": False, "description": description,
        "schema": schema,
    }  # fmt: skip


_VERSION = _parameter(
    "focus_version", "Of the FOCUS specification.",
    {"type": "string", "enum": [*VERSIONS], "default": VERSIONS[0]},
)  # fmt: skip
_PARAMETERS = (
    _parameter(
        "format", "Of the file.", {"type": "string", "enum": [*MEDIA_TYPES, FOCUS, *ALIASES],
                                   "default": "csv"},
    ),
    _parameter(
        "type", "Calls with costs, with quantities, with all that an import needs; groups of them, "
        "the audit log, prices, or budgets.",
        {"type": "string", "enum": [*TYPES], "default": TYPES[0]},
    ),
    _parameter(
        "include_fields", "The columns, in this order, repeated or with commas.",
        {"type": "array", "items": {"type": "string"}},
    ),
    _VERSION,
    _parameter(
        "focus_file", "In which a FOCUS dataset is written.",
        {"type": "string", "enum": [*FOCUS_FILES], "default": FOCUS_FILES[0]},
    ),
    _parameter(
        "focus_grain", "Of the charge periods of a FOCUS dataset.",
        {"type": "string", "enum": [*GRAINS], "default": GRAINS[0]},
    ),
    _parameter(
        BILLING_PERIOD,
        "A calendar month in UTC, such as 2026-10, as its books have it: after it was closed the "
        "file stays the same, and corrections are in the next month that is open.",
        {"type": "string", "pattern": MONTH_PATTERN},
    ),
    _parameter("compression", "Of the whole file.", {"type": "string", "enum": ["gzip", "zstd"]}),
    _parameter(
        "delimiter", "Between the cells of a CSV file.",
        {"type": "string", "enum": ["comma", "semicolon", "tab"], "default": "comma"},
    ),
    _parameter(
        "decimal", "In the numbers of a CSV file.",
        {"type": "string", "enum": ["point", "comma"], "default": "point"},
    ),
    _parameter("bom", "Begin a CSV file with a byte order mark.", {"type": "boolean"}),
    _parameter("totals", "End a CSV file with a line of totals per currency.",
               {"type": "boolean"}),
)  # fmt: skip


@router.get(
    "/costs/export",
    operation_id="exportCosts",
    openapi_extra=schemas.takes(*_PARAMETERS, *schemas.WHICH, *schemas.GROUPED[:3]),
    responses=_FILE,
    dependencies=[Untimed],
)
def export_costs(request: Request, principal: Principal = Exporter) -> Response:
    """Calls, or groups of them with `type=aggregates`, as a file; so are the audit log, prices and
    budgets, for who may read those. It is streamed: calls that arrive meanwhile, behind the place
    reached, are not in it."""
    return _export(request, principal, asked_in_url(request))


@router.get(
    "/costs/export/focus-metadata",
    operation_id="getFocusMetadata",
    openapi_extra=schemas.takes(_VERSION),
    responses=answers(200, {"type": "object"}, "The metadata of a FOCUS dataset."),
)
def focus_metadata(
    request: Request, principal: Principal = Exporter, focus_version: str = VERSIONS[0]
) -> Response:
    """Who made a FOCUS dataset, and the type of each column: the file that goes with it."""
    refuse_unknown(request, {"focus_version", "organization_id"})
    if focus_version not in VERSIONS:
        raise invalid("focus_version", f"must be one of: {', '.join(VERSIONS)}")
    program = _program()
    return json_response(
        metadata_document(
            focus_version,
            schema_id=f"llm-cost-ops-{program}-focus-{focus_version}",
            created_us=SCHEMA_US,
            generator_version=program,
            instance_id=principal.organization_id,
        )
    )


@lru_cache(maxsize=1)
def _program() -> str:
    return version("llm-cost-ops")


def prices_of(request: Request) -> Callable[[], PriceBook]:
    """Where the public price book of the app is."""
    prices = deps_of_pricing.prices(request)
    return lambda: prices.book


def _export(request: Request, principal: Principal, asked: Asked) -> Response:
    database = deps.database(request)
    within = allowed(principal, kind_named(asked.peek("type")))
    with read(database) as session:
        at = home(session, principal, deps.clock(request).now())
    wanted = wanted_of(asked, within, at)
    wanted, name = as_booked(database, principal.organization_id, wanted)
    sources = Sources(database, prices_of(request), at.currency, name, to_micros(at.now))
    chunks = wanted.chunks(sources)
    # The first piece is made before the answer begins: what cannot be read is an error still.
    first = next(chunks, b"")
    actor = actor_of(request, principal)
    write_retrying(
        database,
        lambda session: actor.record(
            session, "export.created", "export", wanted.kind, None, wanted.told()
        ),
    )
    return StreamingResponse(
        chain((first,), chunks),
        media_type=wanted.form.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{wanted.name}"',
            "Cache-Control": "no-store",
        },
    )
