"""`journal`: a month of costs as entries of a general ledger."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import single
from llm_cost_ops.cli.exports import STANDARD_OUTPUT, put
from llm_cost_ops.cli.failure import ARGUMENTS, OK, CommandError
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.core.wording import calls


@single("journal", organization=True, prints=False)
def journal(
    profile: Profile,
    period: Annotated[str, typer.Argument(help="The month: 2026-10.")],
    accounts: Annotated[
        Path, typer.Option("--map", "-m", help="Accounts, a TOML file.", metavar="FILE")
    ],
    file: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="Where to; - is standard output.")
    ] = STANDARD_OUTPUT,
    posting_date: Annotated[
        str | None, typer.Option(help="Date of the documents; else the month's last day.")
    ] = None,
    document: Annotated[str, typer.Option(help="What document numbers begin with.")] = "LLM",
    reverse: Annotated[
        bool, typer.Option("--reverse", help="Take each back on the first day of the next month.")
    ] = False,
) -> int:
    """Write the journal of a month as CSV: debits by cost centre, project and team, one credit by
    provider, balanced in each currency.

    $ cost-ops journal 2026-10 --map accounts.toml -o journal.csv
    $ cost-ops journal 2026-10 --map accounts.toml --reverse --document ACCR -o accrual.csv
    """
    from llm_cost_ops.cli.connect import connected

    body: dict[str, Any] = {
        "period": period, "accounts": _accounts(accounts), "document": document, "reverse": reverse,
    }  # fmt: skip
    if posting_date is not None:
        body["posting_date"] = posting_date
    with connected(profile) as api:
        answer = api.change("POST", "/costs/journal", body)
    put(profile, answer["csv"].encode(), file)
    _tell(profile, answer)
    return OK


def _accounts(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", exit_code=ARGUMENTS) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} is no TOML: {error}", exit_code=ARGUMENTS) from None


def _tell(profile: Profile, answer: Mapping[str, Any]) -> None:
    for each in answer["documents"]:
        profile.note(
            f"{each['document']} of {each['posting_date']}: {each['currency']} {each['total']}, "
            f"rounded by {each['rounding']}"
        )
    if not answer["documents"]:
        profile.note(f"Nothing was spent in {answer['period']}.")
    if answer["unpriced_calls"]:
        profile.note(f"Not in the journal: {calls(answer['unpriced_calls'])} without a price.")
    if not answer["closed"]:
        profile.note(f"{answer['period']} is not closed: its costs may still change.")
