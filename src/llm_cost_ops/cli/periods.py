"""`periods`: close months, and what their statements say."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.exports import put
from llm_cost_ops.cli.failure import ARGUMENTS, OK, CommandError
from llm_cost_ops.cli.output import Column, Listing, rows_of, show_object, show_rows
from llm_cost_ops.cli.profile import Profile

periods = group("Billing periods: close a month, read its statement.")

Month = Annotated[str, typer.Argument(help="A calendar month (UTC), such as 2026-10.")]
FIELDS = (
    "period", "status", "requests", "total_tokens", "unpriced_count", "totals", "closed_at",
    "sha256",
)  # fmt: skip


def _money(totals: list[dict[str, Any]] | None) -> str:
    return ", ".join(
        f"{'unknown' if each['total_cost'] is None else each['total_cost']} {each['currency']}"
        for each in totals or []
    )


COLUMNS = (
    Column("period"),
    Column("status"),
    Column("requests", read=lambda row: "" if row["requests"] is None else str(row["requests"])),
    Column("totals", "cost", read=lambda row: _money(row["totals"])),
    Column("closed_at", read=lambda row: row["closed_at"] or ""),
)


@command(periods, "list", organization=True)
def _list(profile: Profile) -> int:
    """List the months from the first call to now, closed and open.

    $ cost-ops periods list
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.read("/periods")
    show_rows(profile, rows_of(answer), Listing(COLUMNS, FIELDS, empty="No calls yet."))
    return OK


@command(periods, "show", "get", organization=True)
def _show(profile: Profile, month: Month) -> int:
    """Show one month: whether it is closed, and then its totals and the digest of its entries.

    $ cost-ops periods show 2026-10
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        answer = api.read(path_of("periods", month))
    _shown(profile, answer)
    return OK


def _shown(profile: Profile, month: dict[str, Any]) -> None:
    for warning in month.pop("warnings", []):
        profile.note(warning)
    show_object(profile, month)


@command(periods, "close", organization=True)
def _close(
    profile: Profile,
    month: Month,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse while a call of the month has no price.")
    ] = False,
) -> int:
    """Freeze a month that is over: later facts become corrections in the next open month.

    Months are closed in order; the first closes those before it, too. It waits until the books are
    added up; who stops it leaves them to the server's worker, on the local database to whoever
    closes the month again.

    $ cost-ops periods close 2026-10
    $ cost-ops periods close 2026-10 --strict
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile, patient=True) as api:
        made = api.settled(month, "close", {"strict": strict})
    _shown(profile, made)
    return OK


@command(periods, "reopen", organization=True)
def _reopen(
    profile: Profile,
    month: Month,
    reason: Annotated[str, typer.Option("--reason", help="Why; the audit log keeps it.")],
) -> int:
    """Open the last closed month again; what was recorded for it since is in its books then.

    $ cost-ops periods reopen 2026-10 --reason "an invoice was forgotten"
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        made = api.settled(month, "reopen", {"reason": reason})
    _shown(profile, made)
    return OK


@command(periods, "statement", organization=True, prints=False)
def _statement(
    profile: Profile,
    month: Month,
    form: Annotated[str, typer.Option("-f", "--format", help="csv or json.")] = "csv",
    file: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="Where to; - is standard output.")
    ] = "-",
) -> int:
    """Write the statement of a month: a line for each provider, model, project and team, and for
    each month that it corrects.

    $ cost-ops periods statement 2026-10
    $ cost-ops periods statement 2026-10 -f json --output october.json
    """
    from llm_cost_ops.cli.connect import connected, path_of

    if form not in ("csv", "json"):
        raise CommandError("--format must be csv or json", exit_code=ARGUMENTS)
    content = _Whole()
    with connected(profile) as api:
        api.download(path_of("periods", month, "statement"), {"format": form}, content)
    put(profile, content.data, file)
    return OK


class _Whole:
    """What was fetched, from the beginning when it is fetched again."""

    def __init__(self) -> None:
        self.data = b""

    def restart(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data
