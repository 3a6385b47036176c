"""Who is behind what happens now: the caller of this request, or the program itself."""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple

API_KEY, USER, OPERATOR, SYSTEM, SCIM = "api_key", "user", "operator", "system", "scim"
KINDS = (API_KEY, USER, OPERATOR, SYSTEM, SCIM)


class Who(NamedTuple):
    """`actor_id` is the id of the credential, None for the operator and the program. `user_email`
    is given where it is what somebody claimed to be; others have it from their `user_id`."""

    kind: str
    actor_id: str | None = None
    user_id: str | None = None
    user_email: str | None = None
    ip: str | None = None


THE_OPERATOR = Who(OPERATOR)
THE_PROGRAM = Who(SYSTEM)
CALLER: ContextVar[Who | None] = ContextVar("audit_caller", default=None)
"""Set where a request was let in, and where a worker begins a job."""


def behind(actor_id: str | None) -> Who:
    """Who does something as `actor_id`: the caller, if it is he."""
    caller = CALLER.get()
    if caller is not None and (caller.actor_id == actor_id or actor_id is None):
        return caller
    if actor_id is None or actor_id == OPERATOR:
        return THE_OPERATOR
    return Who(API_KEY, actor_id)
