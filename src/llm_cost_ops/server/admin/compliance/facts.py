"""What the database tells about controls: counts over all organizations, for the operator."""

from __future__ import annotations

from sqlalchemy import func, or_, select

from llm_cost_ops.server.access.tables import api_keys
from llm_cost_ops.server.admin.compliance.control import Facts
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import PASSING
from llm_cost_ops.server.db.health import findings
from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.identity.tables import users

UNUSED_DAYS = 90
_DAY_US = 86_400_000_000
_KEY = api_keys.c


def gather(database: Database, now_us: int) -> Facts:
    """What can be found out now; a database that does not answer tells nothing."""
    try:
        schema = Migrations().state_of(database)
        if schema.pending:
            return Facts(schema_current=False)
        unsafe = tuple(str(finding) for finding in findings(database) if finding.unsafe)
        return _counted(database, now_us, unsafe)
    except PASSING:
        return Facts()


# lint: allow tenant-scope: the operator of the installation asks about all of it
def _counted(database: Database, now_us: int, unsafe: tuple[str, ...]) -> Facts:
    active = [
        _KEY.revoked_at.is_(None),
        or_(_KEY.expires_at.is_(None), _KEY.expires_at > now_us),
    ]
    keys = select(func.count()).select_from(api_keys).where(*active)
    last = func.coalesce(_KEY.last_used_at, _KEY.created_at)
    people = select(func.count()).select_from(users).where(users.c.kind == "person")
    with read(database) as session:

        def count(statement: object) -> int:
            return int(session.scalar(statement) or 0)  # type: ignore[arg-type]

        return Facts(
            unsafe=unsafe,
            schema_current=True,
            keys=count(keys),
            keys_without_end=count(keys.where(_KEY.expires_at.is_(None))),
            keys_that_may_everything=count(keys.where(_KEY.scopes.like('%"*"%'))),
            keys_unused=count(keys.where(last < now_us - UNUSED_DAYS * _DAY_US)),
            people=count(people),
            audit_records=count(select(func.count()).select_from(audit_log)),
        )
