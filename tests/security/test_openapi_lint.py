"""The API's own document, read as an auditor would: who may ask, what is refused and bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DOCUMENT: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[2] / "contract" / "openapi.json").read_text(encoding="utf-8")
)
OPEN = frozenset({"/live", "/health", "/ready", "/metrics", "/docs", "/openapi.json"})
"""What anybody may ask: nothing of an organization is in the answers."""
SIGN_IN = frozenset(
    {
        "/api/v1/auth/login",
        "/api/v1/auth/password/reset",
        "/api/v1/auth/password/reset/confirm",
        "/api/v1/auth/refresh",
        "/api/v1/auth/sso/initiate",
        "/api/v1/auth/token/revoke",
    }
)
"""Where a credential is got, or stands in the body; passwords are throttled (check 19)."""
OPEN_PREFIXES = ("/oauth/", "/.well-known/", "/scim/v2/ServiceProviderConfig", "/api/v1/login")
SIGNED = frozenset({"/api/v1/exports/deliveries/{run_id}"})
"""Links whose query holds a signature over what they open and until when."""
PAGES = ("/account", "/email", "/invite", "/login", "/logout", "/reset", "/welcome")
"""Pages for people, whom a cookie or a link that works once lets in (checks 26 and 34)."""
SECRET_NAMES = ("password", "secret", "token", "api_key", "apikey", "key", "credential", "otp")
ALLOWED_QUERY = frozenset({"cursor"})
FILTERS = ("/scim/", "/api/v1/costs/", "/api/v1/export", "/api/v1/reports/")
"""Fields of a filter may have names of metadata; unknown ones are refused when they are read."""
AUTHENTICATED = ("401", "403", "429")

Named = tuple[str, str, dict[str, Any]]


def operations() -> Iterator[Named]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def authenticated() -> list[Named]:
    return [(path, method, each) for path, method, each in operations() if each.get("security")]


def names(found: list[Named]) -> list[str]:
    return [f"{method} {path}" for path, method, _ in found]


def resolved(value: Any) -> Any:
    """A schema, followed through one reference."""
    if isinstance(value, dict) and "$ref" in value:
        return DOCUMENT["components"]["schemas"][value["$ref"].rpartition("/")[2]]
    return value


def test_every_operation_demands_a_credential_or_is_meant_to_be_open() -> None:
    unprotected = {
        path
        for path, _, operation in operations()
        if not operation.get("security") and not path.startswith((*OPEN_PREFIXES, *PAGES))
    }
    assert unprotected <= OPEN | SIGN_IN | SIGNED
    assert len(authenticated()) > 50


def test_named_schemes_exist_and_send_nothing_in_the_url() -> None:
    schemes = DOCUMENT["components"]["securitySchemes"]
    for path, _, operation in authenticated():
        for requirement in operation["security"]:
            assert set(requirement) <= set(schemes), path
    for scheme in schemes.values():
        assert scheme.get("in") != "query"


@pytest.mark.parametrize("operation", authenticated(), ids=names(authenticated()))
def test_refusals_are_documented(operation: Named) -> None:
    path, _, found = operation
    responses = found["responses"]
    provisioning = path.startswith("/scim/")  # has errors of its own: RFC 7644, 3.12
    for status in AUTHENTICATED:
        assert status in responses or (provisioning and status == "429"), status
    if "requestBody" in found:
        for status in ("400", "413", "415", "422"):
            assert status in responses or (provisioning and status == "422"), status
    if "{" in path:
        assert "404" in responses


def test_no_secret_is_a_parameter_of_a_url() -> None:
    for path, method, operation in operations():
        if path in PAGES:  # a link that works once is an address
            continue
        for parameter in operation.get("parameters", ()):
            if parameter["in"] not in ("query", "path") or parameter["name"] in ALLOWED_QUERY:
                continue
            words = parameter["name"].lower().replace("-", "_").split("_")
            if parameter["name"].endswith("_id"):
                continue
            assert not set(words) & set(SECRET_NAMES), (method, path, parameter["name"])


def test_bodies_that_fields_describe_take_no_others() -> None:
    for path, method, operation in operations():
        content = operation.get("requestBody", {}).get("content", {})
        schema = resolved(content.get("application/json", {}).get("schema", {}))
        if schema.get("type") == "object" and schema.get("properties"):
            if not path.startswith(FILTERS):
                assert schema.get("additionalProperties") is not True, (method, path)


def test_every_operation_has_a_name_of_its_own() -> None:
    found = [operation["operationId"] for _, _, operation in operations()]
    assert len(found) == len(set(found))


def test_no_example_holds_a_secret() -> None:
    text = json.dumps(DOCUMENT)
    for canary in ("sk_live_", "BEGIN PRIVATE KEY", "AKIA", "xoxb-", "hooks.slack.com/services/T0"):
        assert canary not in text, canary
