"""`schedules`: files that are made and delivered at set times."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.exports import fetch
from llm_cost_ops.cli.failure import ARGUMENTS, GENERAL, OK, CommandError
from llm_cost_ops.cli.output import Column, Listing, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Profile

schedules = group("Files at set times: schedule, pause, run, look at deliveries.")

COLUMNS = (
    Column("id"),
    Column("name"),
    Column("when", read=lambda row: _when(row)),
    Column("to", read=lambda row: ",".join(each["type"] for each in row["destinations"])),
    Column("next_run_at", "next run"),
    Column("last", read=lambda row: _last(row)),
)
FIELDS = (
    "id", "name", "what", "frequency", "time", "day", "cron", "timezone", "period", "catch_up",
    "paused", "paused_reason", "next_run_at", "created_at",
)  # fmt: skip
RUN_COLUMNS = (
    Column("id"),
    Column("scheduled_for", "scheduled for"),
    Column("cause"),
    Column("status"),
    Column("file", read=lambda row: "" if row["file"] is None else row["file"]["name"]),
    Column("delivered", read=lambda row: _delivered(row)),
    Column("error"),
)
RUN_FIELDS = ("id", "schedule_id", "scheduled_for", "cause", "status", "error", "finished_at")

Id = Annotated[str, typer.Argument(help="Id of the schedule (dsc_..).")]
RunId = Annotated[str, typer.Argument(help="Id of the run (drn_..).")]
Name = Annotated[str | None, typer.Option(help="What it is called.")]
Frequency = Annotated[str | None, typer.Option(help="hourly, daily, weekly, monthly; or --cron.")]
Time = Annotated[str | None, typer.Option(help="HH:MM in the time zone.")]
Day = Annotated[str | None, typer.Option(help="A weekday, or a day of the month.")]
Cron = Annotated[str | None, typer.Option(help="Five fields, in place of time and day.")]
Zone = Annotated[str | None, typer.Option("--timezone", help="IANA name.")]
Period = Annotated[
    str | None, typer.Option(help="What a run is about: yesterday, last-week, last-7-days ..")
]
CatchUp = Annotated[
    str | None, typer.Option(help="What is made up for after a downtime: latest, all, none.")
]
Format = Annotated[str | None, typer.Option("-f", "--format", help="Of the file, as of export.")]
Type = Annotated[str | None, typer.Option("--type", help="costs, usage or aggregates.")]
Email = Annotated[list[str] | None, typer.Option("--email", help="A recipient; may be repeated.")]
Folder = Annotated[
    str | None, typer.Option(help="A path below a directory that the settings allow.")
]
Deliver = Annotated[
    Path | None,
    typer.Option(
        "--delivery", help="A file with destinations as JSON: their secrets are not seen so."
    ),
]
Parameter = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the file, such as a filter."),
]


@command(schedules, "list", organization=True)
def _list(
    profile: Profile, limit: Annotated[int, typer.Option(help="At most this many.")] = 100
) -> int:
    """List schedules, the newest first.

    $ cost-ops schedules list
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.read("/exports/schedules", {"limit": limit})
    listing = Listing(COLUMNS, FIELDS, tail_of(answer), empty="No schedules.")
    show_rows(profile, rows_of(answer), listing)
    return OK


@command(schedules, "create", "add", organization=True)
def _create(
    profile: Profile,
    frequency: Frequency = None,
    time: Time = None,
    day: Day = None,
    cron: Cron = None,
    timezone: Zone = None,
    period: Period = None,
    catch_up: CatchUp = None,
    name: Name = None,
    form: Format = None,
    type_: Type = None,
    email: Email = None,
    folder: Folder = None,
    delivery: Deliver = None,
    parameter: Parameter = None,
) -> int:
    """Make and deliver a file again and again; without a destination it is kept, to be fetched.

    $ cost-ops schedules create --frequency daily --time 09:00 --timezone America/New_York -f excel --email finance@example.com
    $ cost-ops schedules create --frequency monthly --day 1 --time 06:00 --folder finance
    $ cost-ops schedules create --cron '0 7 * * 1-5' --delivery bucket.json --set provider=openai
    """  # noqa: E501
    body = _given(
        frequency=frequency, time=time, day=day, cron=cron, timezone=timezone, period=period,
        catch_up=catch_up, name=name, format=form, type=type_, **_parameters(parameter),
    )  # fmt: skip
    body["delivery"] = _destinations(email, folder, delivery) or [{"type": "download"}]
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        made = api.change("POST", "/exports/schedules", body)
    show_object(profile, made, _show)
    return OK


@command(schedules, "show", "get", organization=True)
def _get(profile: Profile, schedule_id: Id) -> int:
    """Show one schedule.

    $ cost-ops schedules show dsc_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        show_object(profile, api.read(path_of("exports", "schedules", schedule_id)), _show)
    return OK


@command(schedules, "update", organization=True)
def _update(
    profile: Profile,
    schedule_id: Id,
    frequency: Frequency = None,
    time: Time = None,
    day: Day = None,
    cron: Cron = None,
    timezone: Zone = None,
    period: Period = None,
    catch_up: CatchUp = None,
    name: Name = None,
    form: Format = None,
    type_: Type = None,
    email: Email = None,
    folder: Folder = None,
    delivery: Deliver = None,
    parameter: Parameter = None,
) -> int:
    """Change a schedule; what is not named stays. It runs in your name from then on.

    $ cost-ops schedules update dsc_01K9ZW3D1M0000000000000000 --time 10:00
    """
    body = _given(
        frequency=frequency, time=time, day=day, cron=cron, timezone=timezone, period=period,
        catch_up=catch_up, name=name, format=form, type=type_, **_parameters(parameter),
    )  # fmt: skip
    to = _destinations(email, folder, delivery)
    if to:
        body["delivery"] = to
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        changed = api.change("PATCH", path_of("exports", "schedules", schedule_id), body)
    show_object(profile, changed, _show)
    return OK


@command(schedules, "pause", organization=True)
def _pause(profile: Profile, schedule_id: Id) -> int:
    """Let a schedule rest.

    $ cost-ops schedules pause dsc_01K9ZW3D1M0000000000000000
    """
    return _act(profile, schedule_id, "pause")


@command(schedules, "resume", organization=True)
def _resume(profile: Profile, schedule_id: Id) -> int:
    """Go on with the next time of a schedule.

    $ cost-ops schedules resume dsc_01K9ZW3D1M0000000000000000
    """
    return _act(profile, schedule_id, "resume")


@command(schedules, "delete", "remove", organization=True)
def _delete(profile: Profile, schedule_id: Id) -> int:
    """Remove a schedule.

    $ cost-ops schedules delete dsc_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        api.change("DELETE", path_of("exports", "schedules", schedule_id))
    profile.note(f"Removed {schedule_id}.")
    return OK


@command(schedules, "run", organization=True)
def _run(profile: Profile, schedule_id: Id) -> int:
    """Run a schedule now; the worker makes and delivers the file.

    $ cost-ops schedules run dsc_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        begun = api.change("POST", path_of("exports", "schedules", schedule_id, "run"))
    show_object(profile, begun, _show_run)
    return OK


@command(schedules, "runs", organization=True)
def _runs(
    profile: Profile,
    schedule_id: Id,
    status: Annotated[
        str | None, typer.Option(help="pending, delivering, completed or failed.")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 100,
) -> int:
    """List runs of a schedule, the newest first.

    $ cost-ops schedules runs dsc_01K9ZW3D1M0000000000000000 --status failed
    """
    from llm_cost_ops.cli.connect import connected, path_of

    path = path_of("exports", "schedules", schedule_id, "runs")
    with connected(profile) as api:
        answer = api.read(path, _given(status=status, limit=limit))
    listing = Listing(RUN_COLUMNS, RUN_FIELDS, tail_of(answer), empty="No runs.")
    show_rows(profile, rows_of(answer), listing)
    return OK


@command(schedules, "status", organization=True)
def _status(profile: Profile, run_id: RunId) -> int:
    """Show one run with its deliveries; exits with 1 when it failed.

    $ cost-ops schedules status drn_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        run = api.read(path_of("exports", "schedules", "runs", run_id))
    show_object(profile, run, _show_run)
    return GENERAL if run["status"] == "failed" else OK


@command(schedules, "download", organization=True, prints=False)
def _download(
    profile: Profile,
    run_id: RunId,
    file: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="Where to; - is standard output.")
    ],
) -> int:
    """Fetch the file of a run.

    $ cost-ops schedules download drn_01K9ZW3D1M0000000000000000 --output costs.csv
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        fetch(profile, api, path_of("exports", "schedules", "runs", run_id, "file"), {}, file)
    return OK


def _act(profile: Profile, schedule_id: str, verb: str) -> int:
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        changed = api.change("POST", path_of("exports", "schedules", schedule_id, verb))
    show_object(profile, changed, _show)
    return OK


def _destinations(
    email: list[str] | None, folder: str | None, delivery: Path | None
) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    if email:
        found.append({"type": "email", "recipients": email})
    if folder is not None:
        found.append({"type": "folder", "path": folder})
    if delivery is not None:
        try:
            read: Any = json.loads(delivery.read_text(encoding="utf-8"))
        except OSError as error:
            raise CommandError(f"{delivery}: {error.strerror}", exit_code=ARGUMENTS) from None
        except ValueError:
            raise CommandError(f"{delivery}: is not JSON", exit_code=ARGUMENTS) from None
        found += read if isinstance(read, list) else [read]
    return found


def _parameters(given: list[str] | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in given or ():
        name, sign, value = each.partition("=")
        if not sign or not name:
            raise CommandError(f"--set {each}: must be NAME=VALUE", exit_code=ARGUMENTS)
        found[name] = value.split(",") if "," in value else value
    return found


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _when(row: Mapping[str, Any]) -> str:
    if row["cron"] is not None:
        return f"{row['cron']} {row['timezone']}"
    return " ".join(filter(None, (row["frequency"], row["day"], row["time"], row["timezone"])))


def _last(row: Mapping[str, Any]) -> str:
    if row["paused"]:
        return "paused"
    return "" if row["last_run"] is None else str(row["last_run"]["status"])


def _delivered(row: Mapping[str, Any]) -> str:
    done = [each for each in row["deliveries"] if each["status"] == "delivered"]
    return f"{len(done)} of {len(row['deliveries'])}"


def _show(_profile: Profile, row: Mapping[str, Any]) -> None:
    print(f"{row['id']}  {row['name']}")
    print(f"{'when':>12}  {_when(row)}")
    print(f"{'period':>12}  {row['period']}")
    for each in row["destinations"]:
        rest = ", ".join(f"{name} {_shown(value)}" for name, value in each.items()
                         if name != "type")  # fmt: skip
        print(f"{'to':>12}  {each['type']} {rest}".rstrip())
    if row["paused"]:
        print(f"{'paused':>12}  {row['paused_reason'] or 'yes'}")
    else:
        print(f"{'next run':>12}  {row['next_run_at']}")


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _show_run(_profile: Profile, row: Mapping[str, Any]) -> None:
    print(f"{row['id']}  {row['status']}  ({row['cause']}, for {row['scheduled_for']})")
    if row["file"] is not None:
        print(f"{'file':>12}  {row['file']['name']}, {row['file']['size_bytes']:,} bytes")
    for each in row["deliveries"]:
        to = " ".join(filter(None, (each["type"], each["recipient"])))
        print(f"{to:>12}  {each['status']}, attempts: {each['attempts']}  {each['detail']}")
    if row["error"] is not None:
        print(f"{'error':>12}  {row['error']}")
