"""Check 4: every role on every route. The table beside this file says who gets in where: no run
writes it, and it is compared with the OpenAPI document and with what the server does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.core.grants import Grant, parse_conditions, reach_of
from llm_cost_ops.core.permissions import ROLES
from tests.support.application import Application
from tests.support.roles import key_of, make_role

pytestmark = pytest.mark.check(4)

TABLE = Path(__file__).with_name("check_04_roles.json")
CUSTOM = "ml_engineer"
PERMISSIONS = ["read:costs", "write:costs", "read:budgets", "read:models", "write:models"]
CONDITIONS = {"team": ["ml-team"], "models": ["gpt-4", "claude-2"]}
WHO = (*ROLES, CUSTOM)
ANYONE, ANY_CREDENTIAL = "anyone", "any credential"
OF_PEOPLE = {
    "/api/v1/auth/2fa/confirm", "/api/v1/auth/2fa/disable", "/api/v1/auth/2fa/enroll",
    "/api/v1/auth/2fa/recovery-codes", "/api/v1/auth/logout", "/api/v1/auth/me",
    "/api/v1/auth/password", "/api/v1/auth/sessions", "/api/v1/auth/sessions/{session_id}",
    "/api/v1/auth/switch-org",
}  # fmt: skip
"""About the session of who asks, whatever the roles: a key has none."""
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


def table() -> dict[str, str]:
    """By route: `anyone` without a credential, `any credential`, or the roles that get in."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs), "a route is named twice"
        return dict(pairs)

    return json.loads(TABLE.read_text(encoding="utf-8"), object_pairs_hook=once)


def documented(application: Application) -> dict[str, Mapping[str, Any]]:
    """The operations of the document by method and path."""
    paths = application.get("/openapi.json").json()["paths"]
    return {
        f"{method.upper()} {path}": operation
        for path, methods in paths.items()
        for method, operation in methods.items()
        if method in METHODS
    }


def demanded(operation: Mapping[str, Any]) -> str:
    """Who gets in by what the document demands and the core's table of permissions gives."""
    required = operation.get("x-required-permissions")
    if required is None:
        return ANYONE
    if not required:
        return ANY_CREDENTIAL
    grants = {name: Grant(scopes) for name, scopes in ROLES.items()}
    grants[CUSTOM] = Grant(frozenset(PERMISSIONS), parse_conditions(CONDITIONS))
    limits = operation["x-conditions"]
    let_in: list[str] = []
    for name, grant in grants.items():
        reach = reach_of((grant,), required)
        if reach.is_everything or (reach.scopes and limits != "refused"):
            let_in.append(name)
    return " ".join(let_in)


def test_the_table_is_what_is_documented_and_misses_no_route(
    sqlite_application: Application,
) -> None:
    expected = {
        route: demanded(operation) for route, operation in documented(sqlite_application).items()
    }
    assert table() == expected


def test_the_table_names_roles_alone() -> None:
    named = {role for who in table().values() if who not in (ANYONE, ANY_CREDENTIAL)
             for role in who.split()}  # fmt: skip
    assert named == set(WHO)


def keys_of_roles(application: Application) -> Iterator[tuple[str, str]]:
    """Each role with the key of a user who has it and no other."""
    at = (application.database, application.clock, application.organization_id)
    custom = make_role(*at, "ML Engineer", PERMISSIONS, CONDITIONS)
    for name in WHO:
        yield name, key_of(application, f"a-{name}", custom if name == CUSTOM else name)


def asked(application: Application, route: str, key: str | None) -> tuple[int, str]:
    """The status and text for a request about nothing that exists."""
    method, path = route.split(" ")
    body = {"json": {}} if method in ("POST", "PUT", "PATCH") else {}
    path = re.sub(r"\{[^}]+\}", "nothing", path)
    answer = application.request(method, path, key=key, **body)
    return answer.status_code, answer.text


def is_refusal(route: str, status: int, text: str) -> bool:
    """Whether the gate has refused a credential that it knows, and nothing behind the gate."""
    if status != 403:
        assert status not in (401, 429, 500, 503), (route, text)
        return False
    said = r"Insufficient permissions: |This is about the whole organization; your roles are"
    assert re.search(said, text), (route, text)
    return True


def test_each_role_gets_in_where_the_table_says_and_nowhere_else(
    sqlite_application: Application,
) -> None:
    app = sqlite_application
    keys = dict(keys_of_roles(app))
    expected = {
        route: " ".join(WHO) if who == ANY_CREDENTIAL else who
        for route, who in table().items()
        if who != ANYONE and route.split(" ")[1] not in OF_PEOPLE
    }
    seen: dict[str, str] = {}
    for route in expected:
        assert asked(app, route, None)[0] == 401, route
        let_in = [
            who for who, key in keys.items() if not is_refusal(route, *asked(app, route, key))
        ]
        seen[route] = " ".join(let_in)
    assert seen == expected


def test_what_is_about_a_session_takes_no_key_of_any_role(sqlite_application: Application) -> None:
    keys = dict(keys_of_roles(sqlite_application))
    routes = [route for route in table() if route.split(" ")[1] in OF_PEOPLE]
    assert len(routes) == len(OF_PEOPLE)
    for route in routes:
        assert table()[route] == ANY_CREDENTIAL
        for who, key in keys.items():
            status, text = asked(sqlite_application, route, key)
            assert status in (400, 403, 404, 409, 422), (route, who, text)
