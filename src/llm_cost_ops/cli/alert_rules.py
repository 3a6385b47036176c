"""`alerts rules`: on what alerts fire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import ARGUMENTS, OK, CommandError
from llm_cost_ops.cli.output import Column, Listing, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Profile

rules = group("Rules of alerts: on what they fire and whom they tell.")

RuleId = Annotated[str, typer.Argument(help="Id of the rule (alr_..).")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="FIELD=VALUE such as threshold=10, window=day, metric=cost or "
        "quiet_hours.start=22:00; may be repeated. Commas make a list of channels, thresholds "
        "and budget_ids; an empty value takes a field away.",
    ),
]
Scope = Annotated[
    list[str] | None,
    typer.Option(help="DIMENSION=VALUE such as team_id=search; may be repeated."),
]
COLUMNS = (
    Column("id"),
    Column("name"),
    Column("type"),
    Column("enabled"),
    Column("severity", optional=True),
    Column("threshold", optional=True),
    Column("channels", read=lambda row: ", ".join(row["channels"]) or "default"),
)
FIELDS = ("id", "name", "type", "enabled", "severity", "threshold", "channels", "scope",
          "created_at")  # fmt: skip
_LISTS = frozenset({"channels", "thresholds", "budget_ids", "days"})
_FLAGS = frozenset({"enabled", "notify_resolved", "hold_critical"})
_WHOLE = frozenset({"cooldown_minutes", "auto_clear_minutes", "window_minutes", "min_requests"})


@command(rules, "list", organization=True)
def _list(
    profile: Profile, limit: Annotated[int, typer.Option(help="At most this many.")] = 100
) -> int:
    """List the rules of alerts.

    $ cost-ops alerts rules list
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.read("/alerts/rules", {"limit": limit})
    listing = Listing(COLUMNS, FIELDS, tail_of(answer), empty="No rules.")
    show_rows(profile, rows_of(answer), listing)
    return OK


@command(rules, "create", "add", organization=True)
def _create(
    profile: Profile,
    name: Annotated[str, typer.Option("--name", "-n", help="What it is called.")],
    kind: Annotated[
        str,
        typer.Option(
            "--type",
            help="budget, projected_breach, anomaly, usage, error_rate, call_cost, unpriced, "
            "price_change, digest or webhook_disabled.",
        ),
    ],
    severity: Annotated[str | None, typer.Option(help="info, warning or critical.")] = None,
    channels: Annotated[
        str | None, typer.Option(help="Names or ids, with commas; else the default channels.")
    ] = None,
    scope: Scope = None,
    fields: Set = None,
) -> int:
    """Make a rule that alerts.

    $ cost-ops alerts rules create --name dear --type call_cost --set threshold=10
    $ cost-ops alerts rules create --name tokens --type usage --scope team_id=search \\
        --set metric=tokens --set threshold=1000000 --set window=day --channels ops
    $ cost-ops alerts rules create --name monday --type digest --set frequency=weekly
    """
    from llm_cost_ops.cli.connect import connected

    body: dict[str, Any] = {
        "name": name,
        "type": kind,
        "severity": severity,
        "channels": None if channels is None else channels.split(","),
        "scope": _scope(scope or []),
        **_fields(fields or []),
    }
    given = {field: value for field, value in body.items() if value is not None}
    with connected(profile) as api:
        made = api.change("POST", "/alerts/rules", given)
    show_object(profile, made)
    return OK


@command(rules, "show", "get", organization=True)
def _show(profile: Profile, rule_id: RuleId) -> int:
    """Show one rule.

    $ cost-ops alerts rules show alr_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        found = api.read(path_of("alerts", "rules", rule_id))
    show_object(profile, found)
    return OK


@command(rules, "update", "set", organization=True)
def _update(profile: Profile, rule_id: RuleId, fields: Set = None) -> int:
    """Change a rule; what is not named stays.

    $ cost-ops alerts rules update alr_01K9ZW3D1M0000000000000000 --set threshold=20
    $ cost-ops alerts rules update alr_01K9ZW3D1M0000000000000000 --set enabled=false
    """
    from llm_cost_ops.cli.connect import connected, path_of

    given = _fields(fields or [])
    cleared = [name for name, value in given.items() if value is None]
    with connected(profile) as api:
        body = {**given, "clear": cleared}
        made = api.change("PATCH", path_of("alerts", "rules", rule_id), body)
    show_object(profile, made)
    return OK


@command(rules, "delete", "remove", organization=True)
def _delete(profile: Profile, rule_id: RuleId) -> int:
    """Remove a rule; the alerts that it made stay.

    $ cost-ops alerts rules delete alr_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        api.change("DELETE", path_of("alerts", "rules", rule_id))
    profile.note(f"Removed {rule_id}.")
    return OK


def _fields(given: list[str]) -> dict[str, Any]:
    """`threshold=10` as it is, `quiet_hours.start=22:00` into an object. Raises CommandError."""
    found: dict[str, Any] = {}
    for pair in given:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise CommandError("--set is FIELD=VALUE", exit_code=ARGUMENTS)
        outer, dot, inner = name.partition(".")
        target = found.setdefault(outer, {}) if dot else found
        target[inner or outer] = _value(inner or outer, value)
    return found


def _value(name: str, text: str) -> object:
    if not text:
        return None
    if name in _LISTS:
        return text.split(",")
    if name in _FLAGS:
        return text.lower() in ("true", "yes", "on", "1")
    if name in _WHOLE:
        try:
            return int(text)
        except ValueError:
            raise CommandError(f"{name} is a whole number", exit_code=ARGUMENTS) from None
    return text


def _scope(given: list[str]) -> Mapping[str, Any] | None:
    """`team_id=a`; a dimension that comes twice has both values. Raises CommandError."""
    found: dict[str, list[str]] = {}
    for pair in given:
        name, separator, value = pair.partition("=")
        if not separator or not name or not value:
            raise CommandError("--scope is DIMENSION=VALUE", exit_code=ARGUMENTS)
        found.setdefault(name, []).append(value)
    return found or None
