"""Several changes in one request (RFC 7644, 3.7), each a transaction of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast
from urllib.parse import unquote

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.db.errors import DatabaseUnavailable, SerializationRetry
from llm_cost_ops.server.http.problems import Problem, problem_of
from llm_cost_ops.server.scim.asked import Answer, Asked
from llm_cost_ops.server.scim.bounds import MAX_BULK_OPERATIONS
from llm_cost_ops.server.scim.errors import error_form, refusal
from llm_cost_ops.server.scim.terms import given

RESPONSE = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
REFERENCE = "bulkId:"
_PATH = re.compile(r"/?(Users|Groups)(?:/([^/]+))?")
_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
Perform = Callable[[str, str, "str | None", Asked], Answer]
"""Make one change: method, kind, id, what is asked."""


@dataclass(slots=True)
class _Operation:
    """One operation as it was sent, and its outcome."""

    method: str
    path: str
    bulk_id: str | None
    version: str | None
    data: Any
    outcome: dict[str, Any] | None = None
    failed: bool = False


@dataclass(slots=True)
class _Job:
    """The operations of a request, and the ids of what they made."""

    asked: Asked
    perform: Perform
    fail_on: int
    operations: list[_Operation]
    made: dict[str, str] = field(default_factory=dict[str, str])
    errors: int = 0


def run(asked: Asked, perform: Perform) -> Answer:
    """Make the changes in their order; one that refers to what a later one makes waits for it.

    After `failOnErrors` errors no further one is begun. Raises Problem 400, 413.
    """
    job = _Job(asked, perform, _fail_on(asked.body), _operations(asked.body))
    waiting = list(job.operations)
    while waiting and not _stopped(job):
        ready = [each for each in waiting if not _awaited(job, each)]
        if not ready:  # they refer to each other, or to what failed
            for each in waiting:
                if not _stopped(job):
                    _fail(job, each, refusal(409, "A bulkId that it refers to was not made."))
            break
        for each in ready[: 1 if len(ready) < len(waiting) else None]:
            if not _stopped(job):
                _perform(job, each)
            waiting.remove(each)
    done = [each.outcome for each in job.operations if each.outcome is not None]
    return Answer(200, {"schemas": [RESPONSE], "Operations": done})


def _fail_on(body: Mapping[str, Any]) -> int:
    value = given(body, "failOnErrors")
    if value is None:
        return MAX_BULK_OPERATIONS + 1
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise refusal(400, "failOnErrors must be a whole number from 1", "invalidValue")
    return value


def _operations(body: Mapping[str, Any]) -> list[_Operation]:
    listed = given(body, "Operations")
    if not isinstance(listed, list) or not listed:
        raise refusal(400, "Operations must be a list of operations", "invalidSyntax")
    rows = cast("list[Any]", listed)
    if len(rows) > MAX_BULK_OPERATIONS:
        raise refusal(413, f"A bulk has at most {MAX_BULK_OPERATIONS} operations.")
    return [_operation(row) for row in rows]


def _operation(row: Any) -> _Operation:
    if not isinstance(row, Mapping):
        raise refusal(400, "An operation must be an object", "invalidSyntax")
    told = cast("Mapping[str, Any]", row)

    def text(name: str) -> str | None:
        value = given(told, name)
        if value is not None and not isinstance(value, str):
            raise refusal(400, f"{name} must be text", "invalidSyntax")
        return value

    return _Operation(
        method=(text("method") or "").upper(),
        path=text("path") or "",
        bulk_id=text("bulkId"),
        version=text("version"),
        data=given(told, "data"),
    )


def _stopped(job: _Job) -> bool:
    return job.errors >= job.fail_on


def _awaited(job: _Job, operation: _Operation) -> bool:
    """Whether the operation refers to what another one is still to make."""
    to_make = {
        each.bulk_id
        for each in job.operations
        if each.bulk_id and each.method == "POST" and each.bulk_id not in job.made
    }
    named = set(_references(operation.data)) | set(_references(operation.path.rpartition("/")[2]))
    return bool(named & to_make)


def _references(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value.removeprefix(REFERENCE)] if value.startswith(REFERENCE) else []
    if isinstance(value, Mapping):
        inner = cast("Mapping[str, Any]", value).values()
        return [name for each in inner for name in _references(each)]
    if isinstance(value, list):
        return [name for each in cast("list[Any]", value) for name in _references(each)]
    return []


def _resolved(job: _Job, value: Any) -> Any:
    """The value with the ids of what was made. Raises Problem 409 for one that was not."""
    if isinstance(value, str) and value.startswith(REFERENCE):
        found = job.made.get(value.removeprefix(REFERENCE))
        if found is None:
            raise refusal(409, "A bulkId that it refers to was not made.")
        return found
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, Any]", value).items()
        return {key: _resolved(job, each) for key, each in pairs}
    if isinstance(value, list):
        return [_resolved(job, each) for each in cast("list[Any]", value)]
    return value


def _perform(job: _Job, operation: _Operation) -> None:
    try:
        answer = _answer(job, operation)
    except (Problem, DomainError, DatabaseUnavailable, SerializationRetry) as error:
        _fail(job, operation, problem_of(error, operation.method))
        return
    if operation.method == "POST" and operation.bulk_id and answer.location:
        job.made[operation.bulk_id] = unquote(answer.location.rpartition("/")[2])
    outcome = _outcome(operation, answer.status)
    if answer.location is not None:
        outcome["location"] = answer.location
    elif operation.method == "DELETE":
        outcome["location"] = job.asked.caller.root + "/" + operation.path.lstrip("/")
    if answer.etag is not None:
        outcome["version"] = answer.etag
    operation.outcome = outcome


def _answer(job: _Job, operation: _Operation) -> Answer:
    if operation.method not in _METHODS:
        raise refusal(400, "method must be POST, PUT, PATCH or DELETE", "invalidSyntax")
    found = _PATH.fullmatch(operation.path)
    if found is None or (found[2] is None) != (operation.method == "POST"):
        raise refusal(400, "path names no resource that this method changes", "invalidPath")
    if operation.method == "POST":
        taken = sum(
            each.bulk_id == operation.bulk_id and each.method == "POST" for each in job.operations
        )
        if not operation.bulk_id or taken > 1:
            raise refusal(400, "POST needs a bulkId of its own", "invalidValue")
    data = _resolved(job, operation.data)
    if operation.method != "DELETE" and not isinstance(data, Mapping):
        raise refusal(400, "data must be an object", "invalidSyntax")
    body: Mapping[str, Any] = {}
    if isinstance(data, Mapping):
        body = cast("Mapping[str, Any]", data)
    asked = replace(job.asked, body=body, query={}, if_match=operation.version, if_none_match=None)
    resource_id = None if found[2] is None else _resolved(job, unquote(found[2]))
    return job.perform(operation.method, found[1], resource_id, asked)


def _outcome(operation: _Operation, status: int) -> dict[str, Any]:
    outcome: dict[str, Any] = {"method": operation.method, "status": str(status)}
    if operation.bulk_id is not None:
        outcome["bulkId"] = operation.bulk_id
    return outcome


def _fail(job: _Job, operation: _Operation, problem: Problem) -> None:
    form = error_form(problem)
    outcome = _outcome(operation, int(str(form["status"])))
    outcome["response"] = form
    if operation.method != "POST" and operation.path:
        outcome["location"] = job.asked.caller.root + "/" + operation.path.lstrip("/")
    operation.outcome, operation.failed = outcome, True
    job.errors += 1
