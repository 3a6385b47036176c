"""`report style`: the colours and the logo of reports."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import ARGUMENTS, OK, CommandError
from llm_cost_ops.cli.output import Output, Row, show_object
from llm_cost_ops.cli.profile import Profile

style = group("Colours and logo of reports: show, set, reset.")
PATH = "/reports/style"
MAX_LOGO_BYTES = 1024 * 1024


@command(style, "show", organization=True)
def _show(profile: Profile) -> int:
    """Show the colours of reports and whether they have a logo.

    $ cost-ops report style show
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        _print(profile, api.read(PATH))
    return OK


@command(style, "set", organization=True)
def _set(
    profile: Profile,
    primary: Annotated[
        str | None, typer.Option("--primary-color", help="Of headings and bars, as #1f4e79.")
    ] = None,
    accent: Annotated[
        str | None, typer.Option("--accent-color", help="Of what is above a limit or forecast.")
    ] = None,
    logo: Annotated[
        str | None, typer.Option(metavar="FILE", help="PNG or JPEG file of at most 1 MiB.")
    ] = None,
    plain: Annotated[bool, typer.Option("--no-logo", help="Without a logo.")] = False,
) -> int:
    """Change the looks of reports that are made from now on; what is not named stays.

    $ cost-ops report style set --primary-color '#004422' --logo logo.png
    $ cost-ops report style set --no-logo
    """
    from llm_cost_ops.cli.connect import connected

    if plain and logo is not None:
        raise CommandError("give --logo or --no-logo", exit_code=ARGUMENTS)
    colours = {"primary_color": primary, "accent_color": accent}
    given: dict[str, Any] = {name: each for name, each in colours.items() if each is not None}
    if logo is not None or plain:
        given["logo"] = None if logo is None else _read(logo)
    if not given:
        raise CommandError("name a colour or a logo", exit_code=ARGUMENTS)
    with connected(profile) as api:
        kept = api.read(PATH)
        before = {name: kept[name] for name in ("primary_color", "accent_color", "logo")}
        _print(profile, api.change("PUT", PATH, {**before, **given}))
    return OK


@command(style, "reset", organization=True)
def _reset(profile: Profile) -> int:
    """Make reports plain again: the colours that all have, and no logo.

    $ cost-ops report style reset
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        api.change("DELETE", PATH)
        _print(profile, api.read(PATH))
    return OK


def _read(logo: str) -> str:
    """The file in base64. Raises CommandError."""
    try:
        with Path(logo).open("rb") as file:
            content = file.read(MAX_LOGO_BYTES + 1)
    except OSError as error:
        raise CommandError(
            f"cannot read {logo}: {error.strerror or error}", exit_code=ARGUMENTS
        ) from None
    if len(content) > MAX_LOGO_BYTES:
        raise CommandError(f"{logo} is larger than 1 MiB", exit_code=ARGUMENTS)
    return b64encode(content).decode("ascii")


def _print(profile: Profile, found: Row) -> None:
    """For people whether there is a logo, for programs the picture."""
    if profile.format is Output.TABLE:
        found = {**found, "logo": "none" if found["logo"] is None else "PNG picture"}
    show_object(profile, found)
