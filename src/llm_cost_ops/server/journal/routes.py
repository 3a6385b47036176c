"""The journal of a month over HTTP."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated

from fastapi import Depends, Request
from pydantic import AfterValidator, Field
from starlette.responses import Response

from llm_cost_ops.core.instant import parse_day
from llm_cost_ops.core.journal import (
    Accounts,
    Document,
    JournalError,
    Target,
    csv_text,
    documents,
    row,
)
from llm_cost_ops.server.access.change import actor_of
from llm_cost_ops.server.access.deps import own_organization, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.admin.bodies import Named
from llm_cost_ops.server.admin.wire import COUNT, MAYBE, TEXT, shape
from llm_cost_ops.server.analytics.request import home
from llm_cost_ops.server.db.session import report, write_retrying
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers
from llm_cost_ops.server.http.routing import Wire, room_router
from llm_cost_ops.server.identity.fields import PersonError, clean_name
from llm_cost_ops.server.journal.month import costs_of, with_teams
from llm_cost_ops.server.pricing.change import Untimed

router = room_router("/api/v1/costs", "journal")

Exporter = Depends(require("read:costs", "export:data"))
_MONTH = re.compile(r"(19[7-9]\d|20\d\d)-(0[1-9]|1[0-2])", re.ASCII)
_NUMBER = {"type": "number"}
_DATE = {"type": "string", "format": "date"}


def _one_line(text: str) -> str:
    """Text of a journal's cell: whoever reads lines of its CSV must not find others in it."""
    try:
        return clean_name(text)
    except PersonError as error:
        raise ValueError(error.message) from None


Account = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_one_line)]
Key = Annotated[str, Field(min_length=1, max_length=255)]
Center = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_one_line)]
Number = Annotated[str, Field(min_length=1, max_length=40), AfterValidator(_one_line)]
SCHEMA = shape(
    period=TEXT,
    closed={"type": "boolean"},
    unpriced_calls=COUNT,
    documents={
        "type": "array",
        "items": shape(
            document=TEXT, posting_date=_DATE, period=TEXT, currency=TEXT, total=_NUMBER,
            exact_total=_NUMBER, rounding=_NUMBER, reverses=MAYBE,
            lines={"type": "array", "items": {"type": "object"}},
        ),
    },
    csv=TEXT,
)  # fmt: skip


class Booked(Wire):
    """Where what belongs to a project or team is booked."""

    debit_account: Account | None = None
    cost_center: Center | None = None


class OfCenter(Wire):
    """The account of a cost centre."""

    debit_account: Account


class OfProvider(Wire):
    """The liability account of a provider."""

    credit_account: Account


class Mapping(Wire):
    """Accounts: of everything, and of what is booked elsewhere."""

    debit_account: Account
    credit_account: Account
    cost_center: Center | None = None
    projects: Annotated[dict[Key, Booked], Field(max_length=10_000, default_factory=dict)]
    teams: Annotated[dict[Key, Booked], Field(max_length=10_000, default_factory=dict)]
    cost_centers: Annotated[dict[Center, OfCenter], Field(max_length=10_000, default_factory=dict)]
    providers: Annotated[dict[Key, OfProvider], Field(max_length=1_000, default_factory=dict)]

    def accounts(self) -> Accounts:
        """The same as a value of the core."""
        return Accounts(
            self.debit_account,
            self.credit_account,
            self.cost_center,
            {name: Target(t.debit_account, t.cost_center) for name, t in self.projects.items()},
            {name: Target(t.debit_account, t.cost_center) for name, t in self.teams.items()},
            {name: each.debit_account for name, each in self.cost_centers.items()},
            {name: each.credit_account for name, each in self.providers.items()},
        )


class Asked(Named):
    """`POST /api/v1/costs/journal`."""

    period: Annotated[str, Field(max_length=7)]
    accounts: Mapping
    posting_date: Annotated[str, Field(max_length=10)] | None = None
    document: Number = "LLM"
    reverse: bool = False


@router.post(
    "/journal",
    operation_id="makeJournal",
    responses=answers(200, SCHEMA, "A balanced document per currency, and all of them as CSV."),
    dependencies=[Untimed],
)
def make_journal(request: Request, body: Asked, principal: Principal = Exporter) -> Response:
    """The costs of a month as general ledger entries: debits by project and team on the mapped
    accounts, credits by provider, rounded so that they balance. Nothing is stored."""
    own_organization(principal, body.organization_id)
    period = _period(body.period)
    posted = None if body.posting_date is None else parse_day(body.posting_date, "posting_date")
    database = deps.database(request)
    with report(database) as session:
        at = home(session, principal, deps.clock(request).now())
        found = costs_of(session, at, period)
        accounts = with_teams(
            session, at.organization_id, body.accounts.accounts(), {c.team for c in found.costs}
        )
    made = documents(
        found.costs,
        accounts,
        period,
        posting_date=posted,
        number=body.document,
        reverse=body.reverse,
    )
    told: dict[str, object] = {
        "period": body.period,
        "documents": [{"document": each.number, "total": str(each.total)} for each in made],
    }
    actor = actor_of(request, principal)
    write_retrying(
        database,
        lambda session: actor.record(
            session, "journal.created", "journal", body.period, None, told
        ),
    )
    return json_response(
        {
            "period": body.period,
            "closed": found.closed,
            "unpriced_calls": found.unpriced,
            "documents": [_wire(each) for each in made],
            "csv": csv_text(made),
        }
    )


def _period(text: str) -> date:
    if not _MONTH.fullmatch(text):
        raise JournalError("must be a month such as 2026-10", field="period")
    return date(int(text[:4]), int(text[5:]), 1)


def _wire(document: Document) -> dict[str, object]:
    return {
        "document": document.number,
        "posting_date": document.posting_date.isoformat(),
        "period": document.period,
        "currency": document.currency,
        "total": document.total,
        "exact_total": document.exact,
        "rounding": document.rounding,
        "reverses": document.reverses,
        "lines": [row(document, place, line) for place, line in enumerate(document.lines, 1)],
    }
