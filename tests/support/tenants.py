"""An examination of every operation of a running app by schemathesis, with the credentials of two
organizations: the one has data, and the other asks for it.

`examined` gives what was found wrong, as texts that name the operation:

* `ignored_auth` of schemathesis, on each request that was answered with 2xx: without a credential
  and with an invented one it must be refused. What had no 2xx is asked the same without the rest.
* `nothing_of_another`: no id, name or amount of the first organization in an answer to the second,
  and nothing but a refusal for a request to one of its things.
* afterwards: no row of the first organization has changed.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import CheckContext, CheckFunction
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.generation.case import Case
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import ignored_auth
from sqlalchemy import MetaData, select

from llm_cost_ops.server.db.session import read
from tests.support.application import Application
from tests.support.made import NAMED, made
from tests.support.operations import OPERATIONS, SIGNING_IN, fresh

CANARY = "canary-of-the-first"
SPENT = "77123.25"
"""An amount that is nowhere but in the first organization."""
GENERATED = 1
"""Cases per operation that schemathesis makes up."""
NO_THING = {"setRetention"}
"""Operations whose path parameters name nothing of an organization."""
FAULTS = {500, 502, 503, 504}


@dataclass
class Tenants:
    """Two organizations of one app."""

    first: Application
    second: Application
    ids: Mapping[str, str]
    own_ids: Mapping[str, str]
    url: str
    session: requests.Session
    asked: set[str] = field(default_factory=set[str])
    """The paths that the second organization has asked for: its audit log names them to it."""
    proven: set[str] = field(default_factory=set[str])
    """Operations of which `ignored_auth` has seen a 2xx."""
    found: list[str] = field(default_factory=list[str])

    @property
    def hidden(self) -> set[str]:
        """What the second organization must never be told."""
        return {CANARY, SPENT, *(value for name, value in self.ids.items() if name not in NAMED)}


@contextmanager
def listening(application: Application) -> Iterator[str]:
    """The app on a real socket as well; its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        server = uvicorn.Server(
            uvicorn.Config(application.app, lifespan="off", log_config=None, ws="none")
        )
        task = application.portal.start_task_soon(server.serve, [listener])
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            task.result(timeout=30)


def examined(application: Application, only: Collection[str] = ()) -> Tenants:
    """What an examination of all operations, or of these alone, has found."""
    with listening(application) as url, requests.Session() as session:
        tenants = _two(application, url, session)
        application.portal.call(partial(application.app.state.attempts.flush, all_of_it=True))
        before = rows_of(tenants.first)
        schema = schemathesis.openapi.from_dict(dict(application.get("/openapi.json").json()))
        schema.config.update(base_url=url)
        listed = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
        assert len(listed) > 200
        chosen = [each for each in listed if not only or _name(each) in only]
        for operation in sorted(chosen, key=lambda one: one.method == "delete"):
            _examine(tenants, operation)
        for operation in chosen:
            if _name(operation) not in tenants.proven and operation.definition.raw.get("security"):
                _refuses(tenants, operation)
        changed = [table for table, rows in rows_of(tenants.first).items() if rows != before[table]]
        tenants.found += [f"rows of the first organization have changed: {t}" for t in changed]
    return tenants


def _name(operation: APIOperation) -> str:
    return str(operation.definition.raw["operationId"])


def _two(application: Application, url: str, session: requests.Session) -> Tenants:
    second = application.another()
    own_ids = _all_of(second, "the-second")
    ids = _all_of(application, CANARY)
    cost = {"provider": "openai", "model": "gpt-4o", "tokens_used": 5, "cost": SPENT}
    stored = application.post("/api/v1/costs", json={**cost, "project_id": CANARY})
    assert stored.status_code == 201, stored.text
    return Tenants(application, second, ids, own_ids, url, session)


def _all_of(application: Application, canary: str) -> dict[str, str]:
    """One of each thing, also of those that several permissions make."""
    ids = made(application, canary)
    token = application.post("/api/v1/scim-tokens", json={"name": canary})
    assert token.status_code == 201, token.text
    return {**ids, "token_id": token.json()["id"], "group_id": ids["team_id"]}


def rows_of(application: Application) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the organization in every table, but for when its keys were last used."""
    metadata = MetaData()
    metadata.reflect(application.database.reader)
    rows: dict[str, list[tuple[Any, ...]]] = {}
    with read(application.database) as session:
        for table in metadata.sorted_tables:
            if "organization_id" not in table.c:
                continue
            columns = [column for column in table.c if column.name != "last_used_at"]
            own = table.c.organization_id == application.organization_id
            found = session.execute(select(*columns).where(own)).all()
            rows[table.name] = sorted((tuple(row) for row in found), key=repr)
    return rows


def _examine(tenants: Tenants, operation: APIOperation) -> None:
    name = _name(operation)
    table = OPERATIONS.get(name)
    body = fresh(table.bodies[0]) if table and table.bodies else None
    given_body = {} if body is None else {"body": body, "media_type": "application/json"}
    own = _path(operation, tenants.own_ids)
    if own is not None and name not in SIGNING_IN:
        _send(tenants, operation.Case(path_parameters=own, **given_body), [ignored_auth])
    foreign = _path(operation, tenants.ids)
    if foreign:
        _send(tenants, operation.Case(path_parameters=foreign, **given_body))
    if operation.method == "get" and own is not None:
        query = _query(operation, tenants.ids)
        if query:
            _send(tenants, operation.Case(path_parameters=own, query=query))
    _send_generated(tenants, operation, foreign)


def _refuses(tenants: Tenants, operation: APIOperation) -> None:
    """What `ignored_auth` asks, of an operation that a credential alone does not get a 2xx from."""
    path = re.sub(r"\{[^}]+\}", "nothing", operation.path)
    for key in (None, "sk_test_invented"):
        method = operation.method.upper()
        body = {} if method in ("GET", "DELETE") else {"json": {}}
        status = tenants.second.request(method, path, key=key, **body).status_code
        if status != 401:
            tenants.found.append(f"{_name(operation)}: {status} without a credential")


def _send_generated(
    tenants: Tenants, operation: APIOperation, foreign: Mapping[str, str] | None
) -> None:
    @seed(1)
    @settings(
        max_examples=GENERATED, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=cast("list[HealthCheck]", list(HealthCheck)),
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def send(case: Case) -> None:
        if foreign:
            case.path_parameters = dict(foreign)
        _send(tenants, case)

    send()


def _path(operation: APIOperation, ids: Mapping[str, str]) -> dict[str, str] | None:
    """The path parameters, None when one is not known."""
    names = [parameter.name for parameter in operation.path_parameters]
    if any(name not in ids for name in names):
        return None
    return {name: ids[name] for name in names}


def _query(operation: APIOperation, ids: Mapping[str, str]) -> dict[str, str]:
    """Query parameters that ask for things of an organization by their names or ids."""
    if _name(operation) == "exportAuditEntries":  # the audit log keeps what an export asked for
        return {}
    asked = {**ids, "parent_id": ids["budget_id"], "model": CANARY, "name": CANARY}
    del asked["organization_id"]  # naming another's is refused before anything is looked for
    names = [parameter.name for parameter in operation.query]
    return {name: asked[name] for name in names if name in asked}


def _send(tenants: Tenants, case: Case, checks: Sequence[CheckFunction] = ()) -> None:
    """Send a case as the second organization and note what is wrong with the answer."""
    headers = {"Authorization": f"Bearer {tenants.second.key}"}
    name = _name(case.operation)
    tenants.asked.add(case.formatted_path)
    response = case.call(tenants.url, tenants.session, headers=headers, timeout=60)
    if checks and response.status_code < 300:
        tenants.proven.add(name)

    def nothing_of_another(_: CheckContext, response: Response, case: Case) -> None:
        _judge(tenants, name, response, case)

    try:
        case.validate_response(response, checks=[*checks, nothing_of_another], headers=headers)
    except FailureGroup as group:
        tenants.found += [f"{name}: {failure}" for failure in group.exceptions]


def _judge(tenants: Tenants, name: str, response: Response, case: Case) -> None:
    sent = repr((case.query, case.body))
    rest = response.text
    told = {value for value in tenants.hidden if value in rest and value not in sent}
    if told:
        for path in tenants.asked:
            rest = rest.replace(path, "")
        told = {value for value in told if value in rest}
    for value in sorted(told):
        where = rest.index(value)
        raise Failure(
            operation=name, title="tells of another", message=rest[max(0, where - 90) : where + 90]
        )
    path = set((case.path_parameters or {}).values()) & tenants.hidden
    if path and response.status_code < 400 and name not in NO_THING:
        title = "takes a thing of another"
        raise Failure(operation=name, title=title, message=str(response.status_code))
    gone = name == "ssoBegin" and response.status_code == 503  # nobody is at that address
    if response.status_code in FAULTS and not gone:
        raise Failure(operation=name, title="fault", message=str(response.status_code))
