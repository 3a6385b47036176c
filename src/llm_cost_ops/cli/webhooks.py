"""`webhooks`: where events are delivered to, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import GENERAL, OK
from llm_cost_ops.cli.output import Column, Listing, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Profile

webhooks = group("Webhooks: register, change, look at deliveries, send again.")

COLUMNS = (
    Column("id"),
    Column("url"),
    Column("events", read=lambda row: ",".join(row["events"])),
    Column("state", read=lambda row: _state(row)),
    Column("last_success_at", "last success"),
)
FIELDS = (
    "id", "url", "events", "description", "enabled", "disabled_reason", "failing_since",
    "paused_until", "last_success_at", "last_failure_at", "created_at", "updated_at",
)  # fmt: skip
DELIVERY_COLUMNS = (
    Column("id"),
    Column("type", "event"),
    Column("status"),
    Column("attempts"),
    Column("last_status_code", "answer"),
    Column("created_at", "created"),
    Column("next_attempt_at", "next attempt"),
)
DELIVERY_FIELDS = (
    "id", "webhook_id", "event_id", "event", "type", "status", "attempts", "last_status_code",
    "event_at", "created_at", "next_attempt_at", "finished_at",
)  # fmt: skip
EVENT_COLUMNS = (
    Column("name"),
    Column("aliases", read=lambda row: ", ".join(row["aliases"])),
    Column("description"),
)
Id = Annotated[str, typer.Argument(help="Id of the webhook (whk_..).")]
Secret = Annotated[
    str | None,
    typer.Option(
        help="16 to 256 characters, or whsec_ and base64; a new one when left out. Other users "
        "of this machine can see arguments: COST_OPS_WEBHOOK_SECRET is not seen.",
        envvar="COST_OPS_WEBHOOK_SECRET",
    ),
]
Events = Annotated[
    list[str] | None,
    typer.Option("--event", "-e", help="An event, or *; may be repeated. `webhooks events` lists."),
]
Url = Annotated[str | None, typer.Option(help="Where to deliver to.")]
Description = Annotated[str | None, typer.Option(help="A note.")]


@command(webhooks, "list", organization=True)
def _list(
    profile: Profile,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 100,
) -> int:
    """List webhooks.

    $ cost-ops webhooks list
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.read("/webhooks", {"limit": limit})
    listing = Listing(COLUMNS, FIELDS, tail_of(answer), empty="No webhooks.")
    show_rows(profile, rows_of(answer), listing)
    return OK


@command(webhooks, "create", "add", organization=True)
def _create(
    profile: Profile,
    url: Annotated[str, typer.Option(help="Where to deliver to.")],
    event: Events = None,
    secret: Secret = None,
    description: Description = None,
) -> int:
    """Register a URL for events, all of them unless some are named. The secret is shown once.

    $ cost-ops webhooks create --url https://example.com/hook -e cost.created
    """
    from llm_cost_ops.cli.connect import connected

    body = _given(url=url, events=event or ["*"], secret=secret, description=description)
    with connected(profile) as api:
        made = api.change("POST", "/webhooks", body)
    show_object(profile, made, _show)
    return OK


@command(webhooks, "get", "show", organization=True)
def _get(profile: Profile, webhook_id: Id) -> int:
    """Show one webhook.

    $ cost-ops webhooks get whk_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        found = api.read(path_of("webhooks", webhook_id))
    show_object(profile, found, _show)
    return OK


@command(webhooks, "update", organization=True)
def _update(
    profile: Profile,
    webhook_id: Id,
    url: Url = None,
    event: Events = None,
    description: Description = None,
) -> int:
    """Change a webhook; what is not named stays.

    $ cost-ops webhooks update whk_01K9ZW3D1M0000000000000000 -e cost.created -e budget.exceeded
    """
    body = _given(url=url, events=event or None, description=description)
    return _change(profile, webhook_id, body)


@command(webhooks, "enable", organization=True)
def _enable(profile: Profile, webhook_id: Id) -> int:
    """Deliver again, also after failures had disabled a webhook.

    $ cost-ops webhooks enable whk_01K9ZW3D1M0000000000000000
    """
    return _change(profile, webhook_id, {"enabled": True})


@command(webhooks, "disable", organization=True)
def _disable(profile: Profile, webhook_id: Id) -> int:
    """Deliver nothing to a webhook until it is enabled.

    $ cost-ops webhooks disable whk_01K9ZW3D1M0000000000000000
    """
    return _change(profile, webhook_id, {"enabled": False})


@command(webhooks, "delete", "remove", organization=True)
def _delete(profile: Profile, webhook_id: Id) -> int:
    """Remove a webhook.

    $ cost-ops webhooks delete whk_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        api.change("DELETE", path_of("webhooks", webhook_id))
    profile.note(f"Removed {webhook_id}.")
    return OK


@command(webhooks, "rotate-secret", organization=True)
def _rotate(
    profile: Profile,
    webhook_id: Id,
    secret: Secret = None,
    overlap_hours: Annotated[
        int, typer.Option(help="How long the old secret signs beside the new one.")
    ] = 24,
) -> int:
    """Give a webhook a new secret, shown once.

    $ cost-ops webhooks rotate-secret whk_01K9ZW3D1M0000000000000000 --overlap-hours 48
    """
    from llm_cost_ops.cli.connect import connected, path_of

    body = _given(secret=secret, overlap_hours=overlap_hours)
    with connected(profile) as api:
        made = api.change("POST", path_of("webhooks", webhook_id, "rotate-secret"), body)
    show_object(profile, made, _show)
    return OK


@command(webhooks, "test", organization=True)
def _test(profile: Profile, webhook_id: Id) -> int:
    """Send a test event now; exits with 1 when it is not delivered.

    $ cost-ops webhooks test whk_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        sent = api.change("POST", path_of("webhooks", webhook_id, "test"))
    show_object(profile, sent, _show_delivery)
    return OK if sent["status"] == "delivered" else GENERAL


@command(webhooks, "deliveries", organization=True)
def _deliveries(
    profile: Profile,
    webhook_id: Id,
    status: Annotated[
        str | None, typer.Option(help="pending, delivered, failed or skipped.")
    ] = None,
    event: Annotated[str | None, typer.Option("--event", "-e", help="One event.")] = None,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 100,
) -> int:
    """List deliveries to a webhook, the newest first.

    $ cost-ops webhooks deliveries whk_01K9ZW3D1M0000000000000000 --status failed
    """
    from llm_cost_ops.cli.connect import connected, path_of

    query = _given(status=status, event=event, limit=limit)
    with connected(profile) as api:
        answer = api.read(path_of("webhooks", webhook_id, "deliveries"), query)
    listing = Listing(DELIVERY_COLUMNS, DELIVERY_FIELDS, tail_of(answer), empty="No deliveries.")
    show_rows(profile, rows_of(answer), listing)
    return OK


@command(webhooks, "delivery", organization=True)
def _delivery(
    profile: Profile,
    webhook_id: Id,
    delivery_id: Annotated[str, typer.Argument(help="Id of the delivery (whd_..).")],
) -> int:
    """Show one delivery with its attempts.

    $ cost-ops webhooks delivery whk_01K9ZW3D1M0000000000000000 whd_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        found = api.read(path_of("webhooks", webhook_id, "deliveries", delivery_id))
    show_object(profile, found, _show_delivery)
    return OK


@command(webhooks, "redeliver", organization=True)
def _redeliver(
    profile: Profile,
    webhook_id: Id,
    delivery_id: Annotated[str, typer.Argument(help="Id of the delivery (whd_..).")],
) -> int:
    """Send one delivery again.

    $ cost-ops webhooks redeliver whk_01K9ZW3D1M0000000000000000 whd_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        path = path_of("webhooks", webhook_id, "deliveries", delivery_id, "redeliver")
        found = api.change("POST", path)
    show_object(profile, found, _show_delivery)
    return OK


@command(webhooks, "replay", organization=True)
def _replay(
    profile: Profile,
    webhook_id: Id,
    start: Annotated[str, typer.Option(help="First instant, such as 2026-01-31T12:00:00Z.")],
    end: Annotated[str | None, typer.Option(help="Instant after the last; now.")] = None,
    status: Annotated[
        str | None,
        typer.Option(help="delivered, failed, skipped or all; failed and skipped if left out."),
    ] = None,
    event: Events = None,
) -> int:
    """Send again what failed, or was left out while a webhook was disabled.

    $ cost-ops webhooks replay whk_01K9ZW3D1M0000000000000000 --start 2026-01-31T12:00:00Z
    """
    from llm_cost_ops.cli.connect import connected, path_of

    body = _given(start=start, end=end, status=status, events=event or None)
    with connected(profile) as api:
        answer = api.change("POST", path_of("webhooks", webhook_id, "replay"), body)
    show_object(profile, answer, lambda _, row: print(f"{row['replayed']} to be sent again."))
    return OK


@command(webhooks, "events", organization=True)
def _events(profile: Profile) -> int:
    """List the events that can be wanted, with their other names.

    $ cost-ops webhooks events
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.read("/webhooks/events")
    fields = ("name", "description", "aliases", "published")
    show_rows(profile, rows_of(answer), Listing(EVENT_COLUMNS, fields, tail_of(answer)))
    return OK


def _change(profile: Profile, webhook_id: str, body: Mapping[str, Any]) -> int:
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        changed = api.change("PUT", path_of("webhooks", webhook_id), body)
    show_object(profile, changed, _show)
    return OK


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _state(row: Mapping[str, Any]) -> str:
    if row["enabled"]:
        return "enabled" if row["failing_since"] is None else f"failing {row['failing_since']}"
    return f"disabled ({row['disabled_reason']})"


def _show(_profile: Profile, row: Mapping[str, Any]) -> None:
    print(f"{row['id']}  {row['url']}  ({_state(row)})")
    print(f"{'events':>14}  {', '.join(row['events'])}")
    for name in ("description", "last_success_at", "last_failure_at", "previous_secret_until"):
        if row.get(name) is not None:
            print(f"{name.replace('_at', '').replace('_', ' '):>14}  {row[name]}")
    if row.get("secret") is not None:
        print(f"{'secret':>14}  {row['secret']}  (shown this once)")
        if row["signing_secret"] != row["secret"]:
            print(f"{'for libraries':>14}  {row['signing_secret']}")


def _show_delivery(_profile: Profile, row: Mapping[str, Any]) -> None:
    print(f"{row['id']}  {row['type']}  {row['status']}, attempts: {row['attempts']}")
    for each in row["attempt_log"]:
        print(f"{each['number']:>4}  {each['at']}  {each['latency_ms']} ms  {each['detail']}")
    if row["next_attempt_at"] is not None:
        print(f"next  {row['next_attempt_at']}")
