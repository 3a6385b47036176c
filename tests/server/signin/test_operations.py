"""Every operation of signing in: what it needs, and hostile values in each of its fields."""

from __future__ import annotations

from typing import Any

import pytest

from llm_cost_ops.server.app import openapi_document
from tests.support.operations import SIGNING_IN
from tests.support.people import Doors, make_person

PUBLIC = {"login", "requestPasswordReset", "confirmPasswordReset", "initiateSso"}
BODIES: dict[str, dict[str, Any]] = {
    "login": {
        "email": "a@example.com",
        "password": "x",
        "totp": "123456",
        "recovery_code": "12345678",
        "organization": "x",
    },
    "requestPasswordReset": {"email": "a@example.com"},
    "confirmPasswordReset": {"token": "x", "password": "x"},
    "changePassword": {"current_password": "x", "new_password": "x"},
    "requestEmailChange": {
        "email": "a@example.com",
        "password": "x",
        "totp": "123456",
        "recovery_code": "12345678",
    },
    "confirmEmailChange": {"token": "x"},
    "enrollSecondFactor": {"password": "x"},
    "confirmSecondFactor": {"totp": "123456"},
    "disableSecondFactor": {"password": "x", "totp": "123456", "recovery_code": "12345678"},
    "renewRecoveryCodes": {"password": "x", "totp": "123456", "recovery_code": "12345678"},
    "switchOrganization": {"organization": "x"},
    "initiateSso": {"provider": "x", "organization": "x", "next": "/x"},
}
EXPECTED = (202, 400, 401, 403, 404, 409, 422, 429)
ODD = (
    None,
    True,
    -1,
    2**64,
    "",
    [],
    {},
    {"$gt": ""},
    "' OR 1=1 --",
    "a@b\r\nBcc: c@example.com",
    "\u0130" * 200 + "@example.com",
    "{{7*7}}",
    "x" * 5000,
    "\U0001f4b8" * 64,
)


def found(doors: Doors) -> dict[str, tuple[str, str, dict[str, Any]]]:
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, operations in openapi_document(doors.app)["paths"].items()
        for method, operation in operations.items()
        if operation["operationId"] in SIGNING_IN
    }


def test_the_table_is_whole(sqlite_doors: Doors) -> None:
    operations = found(sqlite_doors)
    assert set(operations) == SIGNING_IN
    with_body = {name for name, (_, _, each) in operations.items() if "requestBody" in each}
    assert with_body == set(BODIES)
    public = {name for name, (_, _, each) in operations.items() if each["security"] == []}
    assert public == PUBLIC


def test_without_a_credential_and_with_a_key(sqlite_doors: Doors) -> None:
    for name, (method, path, _) in found(sqlite_doors).items():
        if name in PUBLIC:
            continue
        path = path.format(session_id="ses_00000000000000000000000000")
        without = sqlite_doors.request(method, path, key=None, json=BODIES.get(name))
        assert (without.status_code, without.json()["error"]["code"]) == (401, "AUTH_001"), name
        keyed = sqlite_doors.request(method, path, json=BODIES.get(name))
        assert keyed.status_code == (404 if name == "revokeSession" else 403), name


@pytest.mark.parametrize("field", ["email", "password", "totp", "organization", "token", "role"])
def test_hostile_values(sqlite_doors: Doors, field: str) -> None:
    browser = sqlite_doors.browser()
    browser.login(make_person(sqlite_doors, "viewer"))
    for name, (method, path, _) in found(sqlite_doors).items():
        body = BODIES.get(name)
        if body is None or (field not in body and field != "role"):
            continue
        for value in ODD:
            answer = browser.request(method, path, json={**body, field: value})
            assert answer.status_code in (202, 400, 401, 403, 404, 409, 422, 429), (
                name,
                field,
                value,
            )
            if not isinstance(value, str) or field == "role":
                optional = value is None and field in ("totp", "organization", "password")
                assert answer.status_code == 422 or optional, (name, field, value)
