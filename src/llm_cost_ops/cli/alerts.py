"""`alerts`: what fired, taking care of it, and trying a channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.alert_channels import channels, show_test
from llm_cost_ops.cli.alert_rules import rules
from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import GENERAL, OK
from llm_cost_ops.cli.output import Column, Listing, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Profile

alerts = group("Alerts: list, acknowledge, snooze, resolve; their rules and channels.")
alerts.add_typer(rules, name="rules")
alerts.add_typer(channels, name="channels")

AlertId = Annotated[str, typer.Argument(help="Id of the alert (alt_..).")]
Comment = Annotated[str | None, typer.Option(help="What whoever looks at it should know.")]
COLUMNS = (
    Column("id"),
    Column("fired_at", "fired", "time"),
    Column("severity"),
    Column("status"),
    Column("type"),
    Column("title"),
)
FIELDS = (
    "id", "fired_at", "severity", "status", "type", "title", "summary", "rule_id", "budget_id",
    "occurrences", "acknowledged_at", "snoozed_until", "resolved_at",
)  # fmt: skip


@command(alerts, "list", organization=True)
def _list(
    profile: Profile,
    status: Annotated[
        str | None,
        typer.Option(help="open, active, acknowledged, snoozed or resolved; several with commas."),
    ] = None,
    severity: Annotated[str | None, typer.Option(help="info, warning or critical.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Such as budget or usage.")] = None,
    budget: Annotated[str | None, typer.Option(help="About this budget (bud_..).")] = None,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 100,
) -> int:
    """List alerts, the newest first.

    $ cost-ops alerts list --status open
    $ cost-ops alerts list --severity critical -o json
    """
    from llm_cost_ops.cli.connect import connected

    given = {"status": status, "severity": severity, "type": kind, "budget_id": budget}
    query = {name: value for name, value in given.items() if value is not None}
    with connected(profile) as api:
        answer = api.read("/alerts", {**query, "limit": limit})
    listing = Listing(COLUMNS, FIELDS, tail_of(answer), empty="No alerts.")
    show_rows(profile, rows_of(answer), listing)
    return OK


@command(alerts, "show", "get", organization=True)
def _show(profile: Profile, alert_id: AlertId) -> int:
    """Show one alert with its drivers, its history and who was told.

    $ cost-ops alerts show alt_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        found = api.read(path_of("alerts", alert_id))
    show_object(profile, found, _print_alert)
    return OK


@command(alerts, "ack", "acknowledge", organization=True)
def _acknowledge(profile: Profile, alert_id: AlertId, comment: Comment = None) -> int:
    """Take care of an alert: nothing escalates any more.

    $ cost-ops alerts ack alt_01K9ZW3D1M0000000000000000 --comment "looking at it"
    """
    return _act(profile, alert_id, "acknowledge", {"comment": comment})


@command(alerts, "snooze", organization=True)
def _snooze(
    profile: Profile,
    alert_id: AlertId,
    minutes: Annotated[int | None, typer.Option(help="From now; 60 when left out.")] = None,
    until: Annotated[str | None, typer.Option(help="An instant instead.")] = None,
    comment: Comment = None,
) -> int:
    """Keep an alert quiet for a while; then it is told again unless it is over.

    $ cost-ops alerts snooze alt_01K9ZW3D1M0000000000000000 --minutes 120
    """
    if minutes is None and until is None:
        minutes = 60
    body = {"minutes": minutes, "until": until, "comment": comment}
    return _act(profile, alert_id, "snooze", body)


@command(alerts, "resolve", organization=True)
def _resolve(profile: Profile, alert_id: AlertId, comment: Comment = None) -> int:
    """Say that it is over; who was told of the alert is told of that.

    $ cost-ops alerts resolve alt_01K9ZW3D1M0000000000000000
    """
    return _act(profile, alert_id, "resolve", {"comment": comment})


@command(alerts, "test", organization=True)
def _test(
    profile: Profile,
    channel: Annotated[str, typer.Argument(help="Id or name of the channel.")],
) -> int:
    """Send a test message to a channel now; exit with 1 when it did not arrive.

    $ cost-ops alerts test ops
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        found = api.ask(path_of("alerts", "channels", channel, "test"), {})
    show_object(profile, found, show_test)
    return OK if found["delivered"] else GENERAL


def _act(profile: Profile, alert_id: str, verb: str, fields: Mapping[str, Any]) -> int:
    from llm_cost_ops.cli.connect import connected, path_of

    body = {name: value for name, value in fields.items() if value is not None}
    with connected(profile) as api:
        found = api.change("POST", path_of("alerts", alert_id, verb), body)
    show_object(profile, found, _print_alert)
    return OK


def _print_alert(_profile: Profile, row: Mapping[str, Any]) -> None:
    print(f"{row['id']}  {row['severity']}, {row['status']}  ({row['type']})")
    print(row["title"])
    print(row["summary"])
    facts: list[Mapping[str, Any]] = row["facts"]
    width = max((len(fact["label"]) for fact in facts), default=0)
    for fact in facts:
        print(f"  {fact['label']:<{width}}  {fact['value']}")
    drivers: list[Mapping[str, Any]] = row["drivers"]
    for place, driver in enumerate(drivers, start=1):
        parts = [part for part in (driver["amount"], driver["share"]) if part]
        print(f"  {place}. {driver['name']}: {', '.join(parts)}")
    for event in row.get("history", ()):
        print(f"  {event['at']}  {event['type']}: {event['text']}")
    waiting = [each for each in row.get("deliveries", ()) if each["state"] == "pending"]
    for each in waiting:
        detail = f": {each['detail']}" if each["detail"] else ""
        print(f"  {each['due_at']}  to be told: {each['channel_name']}{detail}")
