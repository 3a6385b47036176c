"""`alerts channels`: who is told."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import ARGUMENTS, OK, CommandError
from llm_cost_ops.cli.output import Column, Listing, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Profile

channels = group("Channels of alerts: mail, Slack, Teams, PagerDuty, webhooks.")

ChannelName = Annotated[str, typer.Argument(help="Id or name of the channel.")]
COLUMNS = (
    Column("id"),
    Column("name"),
    Column("type"),
    Column("enabled"),
    Column("default"),
    Column("severities", read=lambda row: ", ".join(row["severities"])),
)
FIELDS = ("id", "name", "type", "enabled", "default", "severities", "encrypted", "created_at")


@command(channels, "list", organization=True)
def _list(
    profile: Profile, limit: Annotated[int, typer.Option(help="At most this many.")] = 100
) -> int:
    """List the channels of alerts, without their secrets.

    $ cost-ops alerts channels list
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.read("/alerts/channels", {"limit": limit})
    listing = Listing(COLUMNS, FIELDS, tail_of(answer), empty="No channels.")
    show_rows(profile, rows_of(answer), listing)
    return OK


@command(channels, "create", "add", organization=True)
def _create(
    profile: Profile,
    name: Annotated[str, typer.Option("--name", "-n", help="What it is called.")],
    kind: Annotated[str, typer.Option("--type", help="email, slack, teams, pagerduty or webhook.")],
    to: Annotated[str | None, typer.Option(help="Mail addresses, with commas.")] = None,
    url: Annotated[
        str | None, typer.Option(help="Of the incoming webhook, or env:VARIABLE that holds it.")
    ] = None,
    routing_key: Annotated[
        str | None, typer.Option(help="Of PagerDuty, or env:VARIABLE that holds it.")
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(help="That signs what a webhook is sent, or env:VARIABLE that holds it."),
    ] = None,
    severities: Annotated[
        str | None, typer.Option(help="Which it takes, with commas; all when left out.")
    ] = None,
    default: Annotated[
        bool, typer.Option("--default/--no-default", help="Told where no rule names channels.")
    ] = True,
) -> int:
    """Make a channel. Its secrets are never shown again.

    $ cost-ops alerts channels create --name ops --type email --to ops@example.com
    $ cost-ops alerts channels create --name chat --type slack --url env:SLACK_WEBHOOK
    $ cost-ops alerts channels create --name pager --type pagerduty \\
        --routing-key env:PAGERDUTY_KEY --severities critical
    """
    from llm_cost_ops.cli.connect import connected

    given: dict[str, Any] = {
        "name": name,
        "type": kind,
        "recipients": None if to is None else to.split(","),
        "url": _secret(url),
        "routing_key": _secret(routing_key),
        "secret": _secret(secret),
        "severities": None if severities is None else severities.split(","),
        "default": default,
    }
    body = {field: value for field, value in given.items() if value is not None}
    with connected(profile) as api:
        made = api.change("POST", "/alerts/channels", body)
    show_object(profile, made)
    return OK


@command(channels, "show", "get", organization=True)
def _show(profile: Profile, channel: ChannelName) -> int:
    """Show one channel, without its secrets.

    $ cost-ops alerts channels show ops
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        found = api.read(path_of("alerts", "channels", channel))
    show_object(profile, found)
    return OK


@command(channels, "delete", "remove", organization=True)
def _delete(profile: Profile, channel: ChannelName) -> int:
    """Remove a channel that no rule names.

    $ cost-ops alerts channels delete ops
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        api.change("DELETE", path_of("alerts", "channels", channel))
    profile.note(f"Removed {channel}.")
    return OK


def _secret(given: str | None) -> str | None:
    """A secret as it is, or out of the environment, where other users of the machine do not see
    it. Raises CommandError."""
    if given is None or not given.startswith("env:"):
        return given
    variable = given.removeprefix("env:")
    value = os.environ.get(variable)
    if not value:
        raise CommandError(f"the environment has no {variable}", exit_code=ARGUMENTS)
    return value


def show_test(_profile: Profile, row: Mapping[str, Any]) -> None:
    """How a test of a channel went."""
    word = "arrived" if row["delivered"] else "did not arrive"
    print(f"The test of {row['channel_name']} {word}.")
    for result in row["results"]:
        mark = "ok" if result["delivered"] else "failed"
        print(f"  {mark}: {result['detail']}")
