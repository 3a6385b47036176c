"""SCIM requests worked off: what `routes` imports when the first of them comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType

from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, read, write_retrying
from llm_cost_ops.server.scim import bulk as several
from llm_cost_ops.server.scim import discovery, find, groups, users
from llm_cost_ops.server.scim.asked import Answer, Asked
from llm_cost_ops.server.scim.errors import refusal
from llm_cost_ops.server.scim.terms import in_scim_terms

MODULES: Mapping[str, ModuleType] = {"Users": users, "Groups": groups}
WRITES: Mapping[str, str] = {"Users": "write:scim_users", "Groups": "write:scim_groups"}
READS: Mapping[str, str] = {"Users": "read:scim_users", "Groups": "read:scim_groups"}

__all__ = ["bulk", "change", "discovery", "get", "search"]


def get(database: Database, kind: str, resource_id: str, asked: Asked) -> Answer:
    """One resource. Raises Problem 404."""
    with in_scim_terms(), read(database) as session:
        answer: Answer = MODULES[kind].get(session, asked, resource_id)
        return answer


def search(database: Database, kinds: Sequence[str], asked: Asked) -> Answer:
    """A page of resources. Raises Problem 400."""
    with in_scim_terms(), read(database) as session:
        return find.find(session, asked.caller, {**asked.query, **asked.body}, kinds)


def change(
    database: Database, method: str, kind: str, resource_id: str | None, asked: Asked
) -> Answer:
    """Make, replace, patch or delete one resource. Raises Problem."""
    module = MODULES[kind]

    def work(session: WriteSession) -> Answer:
        if resource_id is None:
            answer: Answer = module.create(session, asked)
            return answer
        verbs: dict[str, Callable[[WriteSession, Asked, str], Answer]] = {
            "PUT": module.replace,
            "PATCH": module.patch,
            "DELETE": module.delete,
        }
        return verbs[method](session, asked, resource_id)

    with in_scim_terms():
        return write_retrying(database, work)


def bulk(database: Database, asked: Asked) -> Answer:
    """Several changes, each by itself. Raises Problem 400, 413."""

    def perform(method: str, kind: str, resource_id: str | None, one: Asked) -> Answer:
        if not one.caller.principal.holds(WRITES[kind]):
            raise refusal(403, f"Insufficient permissions: {WRITES[kind]}")
        return change(database, method, kind, resource_id, one)

    with in_scim_terms():
        return several.run(asked, perform)
