"""How a command is declared: its own arguments, the shared options, and its exit code.

The shared options may stand before or after a command's name, the inner one wins. Help lists them
once, at the top; a command's own help shows --output alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.failure import ARGUMENTS, CommandError, report
from llm_cost_ops.cli.profile import Output, Profile

Run = Callable[..., int | None]
"""A command: takes the Profile, then its own arguments; None is exit code 0."""

_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_CONTEXT = inspect.Parameter("ctx", _KEYWORD, annotation=typer.Context)
_SHARED: dict[str, tuple[Any, Any, tuple[str, ...], str]] = {
    "output": (
        Output | None, None, ("-o", "--output"),
        "Format of what is printed: table, json, jsonl, csv or yaml.",
    ),
    "config": (
        Path | None, None, ("-c", "--config"),
        "Settings file (also COST_OPS_CONFIG); `none` reads no file.",
    ),
    "api_url": (
        str | None, None, ("--api-url",),
        "Work on this server (also COST_OPS_API_URL, LLM_COST_OPS_BASE_URL) instead of the "
        "local database.",
    ),
    "api_key": (
        str | None, None, ("--api-key",),
        "Key for the server (better: COST_OPS_API_KEY or LLM_COST_OPS_API_KEY, which other users "
        "of the machine cannot see).",
    ),
    "database_url": (
        str | None, None, ("--database-url",),
        "Local database (also DATABASE_URL, COST_OPS_DATABASE_URL).",
    ),
    "verbose": (int, 0, ("-v", "--verbose"), "Tell more; -vv also logs and shows tracebacks."),
    "quiet": (bool, False, ("-q", "--quiet"), "Print results and errors only."),
    "no_color": (bool, False, ("--no-color",), "No colours (also NO_COLOR)."),
}  # fmt: skip
_ORGANIZATION = (
    "Organization by id, slug or name; may be left out where there is one, and on a server, where "
    "it is the key's."
)
_SHOWN = frozenset({"output", "organization"})


def application(help: str, **options: Any) -> typer.Typer:
    """A Typer app in the house style: plain help, errors raised to `run`."""
    return typer.Typer(
        help=help,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_help_option=False,
        **options,
    )


def group(help: str, alone: Run | None = None, *, shows: Collection[str] = ()) -> typer.Typer:
    """A group of commands; `alone` is what its bare name does, else its help is shown."""
    app = application(help, no_args_is_help=alone is None)

    def enter(ctx: typer.Context, **given: Any) -> int | None:
        profile = shared_profile(ctx, given)
        if ctx.invoked_subcommand is not None or alone is None:
            _refuse_dropped(ctx, given)
            return None
        return _concluded(profile, alone, given)

    own = [] if alone is None else _own_parameters(alone)
    _sign(enter, [*own, *shared_parameters(hidden=True, shows=shows)])
    app.callback(invoke_without_command=alone is not None, help=help, add_help_option=False)(enter)
    return app


def _refuse_dropped(ctx: typer.Context, given: Collection[str]) -> None:
    """What stands before a subcommand's name would not reach it. Raises CommandError."""
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(parameter.name or "")
        if parameter.name in given and source is not None and source.name == "COMMANDLINE":
            raise CommandError(
                f"give {parameter.opts[0]} after `{ctx.command_path} {ctx.invoked_subcommand}`",
                exit_code=ARGUMENTS,
            )


def command(
    app: typer.Typer,
    name: str,
    *aliases: str,
    organization: bool = False,
    shows: Collection[str] = (),
    prints: bool = True,
) -> Callable[[Run], Run]:
    """Register a command under its name and, hidden, under its aliases.

    `organization` adds --organization; `shows` names shared options that its help shows; one that
    does not print rows (`prints`) may have an --output of its own. The docstring is the help;
    `$ cost-ops ..` lines at its end are examples.
    """

    def register(run: Run) -> Run:
        shared = shared_parameters(
            hidden=True, organization=organization, shows=shows, output=prints
        )

        def call(ctx: typer.Context, **given: Any) -> int | None:
            profile = shared_profile(ctx, given)
            return _concluded(profile, run, given)

        call.__doc__ = run.__doc__
        _sign(call, [*_own_parameters(run), *shared])
        app.command(name, help=_help(run), add_help_option=False)(call)
        for alias in aliases:
            app.command(alias, help=_help(run), hidden=True, add_help_option=False)(call)
        return run

    return register


def single(
    name: str, *, organization: bool = False, shows: Collection[str] = (), prints: bool = True
) -> Callable[[Run], typer.Typer]:
    """A command of the first level, as an app of its own."""

    def register(run: Run) -> typer.Typer:
        app = application("")
        command(app, name, organization=organization, shows=shows, prints=prints)(run)
        return app

    return register


def shared_parameters(
    *,
    hidden: bool,
    organization: bool = False,
    shows: Collection[str] = (),
    output: bool = True,
) -> list[inspect.Parameter]:
    """The shared options as parameters of a command function."""
    options = {name: each for name, each in _SHARED.items() if output or name != "output"}
    if organization:
        options["organization"] = (str | None, None, ("--organization", "--org"), _ORGANIZATION)
    made: list[inspect.Parameter] = []
    for name, (kind, default, flags, text) in options.items():
        counted: dict[str, Any] = {"count": True} if kind is int else {}
        option: Any = typer.Option(
            *flags,
            help=text,
            hidden=hidden and name not in _SHOWN and name not in shows,
            show_default=False,
            metavar=_METAVARS.get(name),
            **counted,
        )
        made.append(
            inspect.Parameter(name, _KEYWORD, default=default, annotation=Annotated[kind, option])
        )
    return [*made, _help_parameter()]


def _help_parameter() -> inspect.Parameter:
    """Our own --help: Typer's is converted through pydantic (see `plain`)."""
    option: Any = typer.Option(
        "-h",
        "--help",
        help="Show this message and exit.",
        show_default=False,
        is_eager=True,
        callback=_print_help,
    )
    return inspect.Parameter("help", _KEYWORD, default=False, annotation=Annotated[bool, option])


def _print_help(ctx: typer.Context, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        print(ctx.get_help())
        raise typer.Exit


_METAVARS = {
    "output": "FORMAT",
    "config": "FILE",
    "api_url": "URL",
    "api_key": "KEY",
    "database_url": "URL",
    "organization": "NAME",
}


def sign_root(enter: Callable[..., Any], *more: inspect.Parameter) -> None:
    """Give the root callback the shared options, shown, and some of its own."""
    _sign(enter, [*shared_parameters(hidden=False), *more])


def _own_parameters(run: Run) -> list[inspect.Parameter]:
    """A command's own arguments: all but the profile."""
    parameters = list(inspect.signature(run, eval_str=True).parameters.values())
    return [parameter.replace(kind=_KEYWORD) for parameter in parameters[1:]]


def _sign(function: Any, parameters: list[inspect.Parameter]) -> None:
    """Typer reads a function's arguments from its signature and annotations."""
    signature = inspect.Signature([_CONTEXT, *parameters])
    function.__signature__ = signature
    function.__annotations__ = {n: p.annotation for n, p in signature.parameters.items()}


def shared_profile(ctx: typer.Context, given: dict[str, Any]) -> Profile:
    """Take the shared options out of the arguments; they hold for everything further in."""
    given.pop("help", None)
    names = [name for name in (*_SHARED, "organization") if name in given]
    inner = Profile(**{name: given.pop(name) for name in names})
    outer = ctx.parent.obj if ctx.parent is not None else None
    profile = inner.over(outer) if isinstance(outer, Profile) else inner
    ctx.obj = profile
    return profile


def _concluded(profile: Profile, run: Run, given: dict[str, Any]) -> int:
    try:
        return run(profile, **given) or 0
    except (BrokenPipeError, typer.Exit, typer.Abort):
        raise
    except (Exception, KeyboardInterrupt) as error:
        local = profile.api_url is None and not profile.remote
        return report(error, verbose=profile.verbose, local=local)


def _help(run: Run) -> str:
    """The docstring with its examples kept line by line."""
    text = inspect.getdoc(run) or ""
    before, mark, examples = text.partition("\n$ ")
    return f"{before.rstrip()}\n\n\b\nExamples:\n  $ {_indented(examples)}" if mark else text


def _indented(examples: str) -> str:
    return "\n  ".join(line.strip() for line in examples.splitlines() if line.strip())
