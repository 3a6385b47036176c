"""Jobs of the local database, for the commands of `jobs`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from llm_cost_ops.cli.failure import ARGUMENTS, CommandError
from llm_cost_ops.cli.ledger_home import chosen_organization, open_ledger
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, read, write_retrying
from llm_cost_ops.server.queue import dead_letters

Row = dict[str, Any]
Change = Callable[..., Row]


def listed(profile: Profile, *, state: str | None, kind: str | None, limit: int) -> list[Row]:
    """Raises CommandError for a state that there is not."""
    if state is not None and state not in dead_letters.STATES:
        raise CommandError(
            f"--state is one of {', '.join(dead_letters.STATES)}", exit_code=ARGUMENTS
        )
    if limit < 1:
        raise CommandError("--limit is at least 1", exit_code=ARGUMENTS)
    with _desk(profile) as (database, organization_id), read(database) as session:
        return dead_letters.list_jobs(session, organization_id, state=state, kind=kind, limit=limit)


def shown(profile: Profile, job_id: str) -> Row:
    """Raises NoSuchJob."""
    with _desk(profile) as (database, organization_id), read(database) as session:
        return dead_letters.show_job(session, organization_id, job_id)


def replayed(
    profile: Profile, job_ids: Sequence[str], *, all_dead: bool, kind: str | None
) -> list[Row]:
    """All or none of the named jobs. Raises NoSuchJob, WrongState, CommandError."""
    return _changed(profile, dead_letters.replay, job_ids, all_dead, kind)


def discarded(
    profile: Profile, job_ids: Sequence[str], *, all_dead: bool, kind: str | None
) -> list[Row]:
    """All or none of the named jobs. Raises NoSuchJob, WrongState, CommandError."""
    return _changed(profile, dead_letters.discard, job_ids, all_dead, kind)


def _changed(
    profile: Profile, change: Change, job_ids: Sequence[str], all_dead: bool, kind: str | None
) -> list[Row]:
    if all_dead == bool(job_ids):
        raise CommandError("name jobs, or give --all-dead", exit_code=ARGUMENTS)
    if kind is not None and not all_dead:
        raise CommandError("--kind goes with --all-dead", exit_code=ARGUMENTS)
    now_us = SystemClock().micros()
    with _desk(profile) as (database, organization_id):

        def work(session: WriteSession) -> list[Row]:
            wanted = dead_letters.dead_ids(session, organization_id, kind) if all_dead else job_ids
            return [change(session, organization_id, each, now_us=now_us) for each in wanted]

        rows = write_retrying(database, work)
        found = len(rows)
        while all_dead and found == dead_letters.BATCH:
            more = write_retrying(database, work)
            rows, found = rows + more, len(more)
        return rows


@contextmanager
def _desk(profile: Profile) -> Generator[tuple[Database, str | None]]:
    """The database, and the id of the organization that was named, if any was."""
    profile.refuse_remote("jobs")
    with open_ledger(profile, profile.settings()) as database:
        named = profile.organization
        yield database, None if named is None else chosen_organization(database, named).id
