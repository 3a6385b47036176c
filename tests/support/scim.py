"""A SCIM token and requests with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx

from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.scim.tokens import issue_token
from tests.support.application import Application

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
JSON = "application/scim+json"


def make_token(application: Application, *, assigns_roles: bool = False) -> str:
    """The secret of a new SCIM token of the organization."""
    actor = Actor(application.organization_id, None, None, application.clock.micros())
    with write(application.database) as session:
        return issue_token(session, actor, name="Okta", assigns_roles=assigns_roles).secret


@dataclass
class Provider:
    """An identity provider of one organization."""

    application: Application
    token: str
    made: int = field(default=0)

    @classmethod
    def of(cls, application: Application, *, assigns_roles: bool = False) -> Provider:
        return cls(application, make_token(application, assigns_roles=assigns_roles))

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """A request below /scim/v2; `if_match` and the like are headers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        options: dict[str, Any] = {} if body is None else {"json": body}
        if body is not None:
            named.setdefault("content-type", JSON)
        return self.application.request(
            method, f"/scim/v2{path}", key=self.token, headers=named, **options
        )

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.request("GET", path, **headers)

    def user(self, called: str = "ann", **more: Any) -> dict[str, Any]:
        """A new user with `called`@example.com."""
        body = {
            "schemas": [USER],
            "userName": f"{called}@example.com",
            "name": {"givenName": called.title(), "familyName": "Lee"},
            "emails": [{"primary": True, "value": f"{called}@example.com", "type": "work"}],
            "active": True,
            **more,
        }
        answer = self.request("POST", "/Users", body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def group(self, name: str, *members: str, **more: Any) -> dict[str, Any]:
        body = {
            "schemas": [GROUP],
            "displayName": name,
            "members": [{"value": member} for member in members],
            **more,
        }
        answer = self.request("POST", "/Groups", body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def patch(self, path: str, *operations: dict[str, Any], **headers: str) -> httpx.Response:
        body = {"schemas": [PATCH], "Operations": list(operations)}
        return self.request("PATCH", path, body, **headers)

    def found(self, kind: str, condition: str) -> list[dict[str, Any]]:
        """The resources that a filter finds."""
        answer = self.application.request(
            "GET", f"/scim/v2/{kind}", key=self.token, params={"filter": condition}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["Resources"]
