"""The program: its commands by name, each imported when it is asked for."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from llm_cost_ops.cli.command import application, shared_profile, sign_root
from llm_cost_ops.cli.failure import report
from llm_cost_ops.cli.plain import convert_plainly

PROGRAMS = ("cost-ops", "llm-cost-ops")
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("database:init", "Create the database schema and the organization."),
    "serve": ("serve:serve", "Serve the API."),
    "worker": ("serve:worker", "Work off background jobs and schedules."),
    "jobs": ("jobs:jobs", "Background jobs: list them, run dead ones again."),
    "migrate": ("database:migrate", "Upgrade the database schema."),
    "db": ("database:db", "Look at the database and change its schema."),
    "ingest": ("ingest:ingest", "Import usage from files, logs and exports."),
    "imports": ("imports:imports", "List imports and take them back."),
    "query": ("costs:query", "List calls, or add them up by groups."),
    "summary": ("costs:summary", "Totals of a period."),
    "export": ("exports:export", "Write calls, or groups of them, to a file."),
    "periods": ("periods:periods", "Billing periods: close a month, read its statement."),
    "report": ("reports:report", "Reports: make, list, cancel, download; their colours and logo."),
    "schedules": (
        "schedules:schedules",
        "Files at set times: schedule, pause, run, look at deliveries.",
    ),
    "exports": ("ordered:exports", "Exports that a worker makes: order, look at, fetch."),
    "estimate": ("estimate:estimate", "What calls would cost; offline, nothing is stored."),
    "pricing": ("pricing:pricing", "Prices: list, set, import, compare, re-rate."),
    "journal": ("journal:journal", "A month of costs as entries of a general ledger."),
    "bi": ("bi:bi", "Views for SQL tools, with a role that reads them alone."),
    "charges": ("charges:charges", "Charges that are no calls: commitments, purchases, credits."),
    "rates": ("rates:rates", "Exchange rates: give, import, list, convert."),
    "forecast": ("forecasts:forecast", "Forecasts, anomalies, and when a budget is exceeded."),
    "auth": ("keys:auth", "Sign in and out, API keys, SCIM tokens, OAuth clients."),
    "org": ("people:org", "Organizations, and who belongs to them."),
    "users": ("people:users", "Users: create, list, disable, import."),
    "teams": ("people:teams", "Teams: create, list, remove."),
    "rbac": ("roles:rbac", "Roles: list, create, assign, load from a file."),
    "sso": (
        "single_sign_on:sso",
        "Identity providers to sign in by: add, change, remove, require.",
    ),
    "config": ("config:config", "Show and check the settings."),
    "secrets": ("secrets:secrets", "Secrets in the database: their keys, and new keys."),
    "credentials": (
        "provider_credentials:credentials",
        "API credentials of providers: keep, rotate, forget.",
    ),
    "privacy": ("privacy:privacy", "Persons' data: export, erase, rectify, restrict."),
    "retention": ("retention:retention", "How long what is kept; removing what is older."),
    "compliance": ("compliance:compliance", "Controls of security: which are met."),
    "budgets": ("budgets:budgets", "Budgets: list, create, look at, check."),
    "webhooks": ("webhooks:webhooks", "Webhooks: register, look at deliveries, send again."),
    "alerts": ("alerts:alerts", "Alerts: list, acknowledge, snooze, resolve; rules, channels."),
    "audit": ("audit:audit", "The audit log: prove that nobody changed it."),
    "verify": ("ledger:verify", "Prove that rollups and budgets equal the ledger."),
    "rebuild": ("ledger:rebuild", "Make rollups and budgets anew from the ledger."),
    "health": ("health:health", "Ask whether the server or the local database is well."),
    "completion": ("completion:completion", "Print a completion script for a shell."),
    "version": ("completion:version", "Print the version."),
}
"""Command to `module:attribute` and the line that the list of commands shows."""
HIDDEN = {"server": "serve:server"}


class Commands(TyperGroup):
    """The first level: names and their lines are known, the rest is loaded on demand."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        place = COMMANDS[cmd_name][0] if cmd_name in COMMANDS else HIDDEN.get(cmd_name)
        return None if place is None else load(cmd_name, place)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def load(name: str, place: str) -> Any:
    """The command at `module:attribute`."""
    module, _, attribute = place.partition(":")
    made = get_command(getattr(import_module(f"llm_cost_ops.cli.{module}"), attribute))
    made.name = name
    return convert_plainly(made)


def _print_version(asked: bool) -> None:
    if asked:
        from llm_cost_ops.client.version import version

        print(f"cost-ops {version()}")
        raise typer.Exit


HELP = """Exact costs of LLM calls: import usage, price it, ask what it cost.

Works on the local database (DATABASE_URL) or, with --api-url, on a server.

$ cost-ops init
$ cost-ops ingest -f calls.jsonl
$ cost-ops summary
$ cost-ops query --group-by provider,model --range last-7-days -o csv

Exit codes: 0 done, 1 failed in part or whole, 2 wrong arguments, 3 not allowed, 4 the API refused
or did not answer, 5 the database.
"""


def program() -> Any:
    """The whole program as a Typer command; its subcommands are not loaded yet."""
    app = application(_kept_lines(HELP), cls=Commands, no_args_is_help=True)

    def enter(ctx: typer.Context, **given: Any) -> None:
        given.pop("version")
        shared_profile(ctx, given)

    version: Any = typer.Option(
        "-V", "--version", help="Print the version.", callback=_print_version, is_eager=True
    )
    annotation = Annotated[bool, version]
    kind = inspect.Parameter.KEYWORD_ONLY
    sign_root(enter, inspect.Parameter("version", kind, default=False, annotation=annotation))
    app.callback(add_help_option=False)(enter)
    made: Any = get_command(app)
    made.commands = dict.fromkeys(COMMANDS)  # their names, for "did you mean"
    return convert_plainly(made)


def _kept_lines(text: str) -> str:
    before, _, rest = text.partition("\n$ ")
    examples, _, after = rest.partition("\n\n")
    shown = "\n".join(f"  {line}" for line in f"$ {examples}".splitlines())
    return f"{before}\n\n\b\nExamples:\n{shown}\n\n{after}"


def run(arguments: Sequence[str]) -> int:
    """Run a command line; the exit code."""
    name = Path(sys.argv[0]).name
    prog = name if name in PROGRAMS else PROGRAMS[0]
    if f"_{prog.replace('-', '_').upper()}_COMPLETE" in os.environ:
        from llm_cost_ops.cli.completion import offer

        offer()
    try:
        code: object = program().main(list(arguments), prog_name=prog, standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader went away; what Python would still flush at exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except typer.Abort:
        return report(KeyboardInterrupt())
    except (Exception, KeyboardInterrupt) as error:
        return _refused(error, arguments)
    return code if isinstance(code, int) else 0


def _refused(error: BaseException, arguments: Sequence[str]) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        print(str(getattr(error, "message", "")), file=sys.stderr)
        return 2
    return report(error, verbose=2 if "-vv" in arguments else 0)
