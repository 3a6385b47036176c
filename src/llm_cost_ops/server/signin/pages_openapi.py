"""What the OpenAPI document says of the pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FORM = "application/x-www-form-urlencoded"


def _page(operation_id: str, summary: str, *query: str) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": summary,
        "tags": ["pages"],
        "security": [],
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "string"}} for name in query
        ],
        "responses": {"200": _html("The page.")},
    }


def _gone(operation_id: str, summary: str, *query: str) -> dict[str, Any]:
    """A page of a provider, which the browser is sent on from."""
    said = _page(operation_id, summary, *query)
    where = {"name": "idp_id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        **said,
        "parameters": [where, *said["parameters"]],
        "responses": {
            "303": {"description": "To the next page."},
            "401": _html("Why nobody is signed in."),
            "404": _html("There is no such provider."),
            "503": _html("The provider does not answer."),
        },
    }


def _came_back(operation_id: str, summary: str) -> dict[str, Any]:
    """The same of a form that the provider has the browser send."""
    said = _gone(operation_id, summary)
    return {**said, "responses": {**said["responses"], "422": _html("No form."), **_FAILED}}


def _sent(operation_id: str, summary: str, *fields: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["csrf"],
        "properties": {name: {"type": "string"} for name in ("csrf", *fields)},
    }
    return {
        "operationId": operation_id,
        "summary": summary,
        "tags": ["pages"],
        "security": [],
        "requestBody": {"required": True, "content": {_FORM: {"schema": schema}}},
        "responses": {
            "200": _html("The next page."),
            "303": {"description": "To the next page."},
            "422": _html("The page again, with what is wrong."),
            **_FAILED,
        },
    }


def _html(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"text/html": {"schema": {"type": "string"}}}}


def _failed(description: str) -> dict[str, Any]:
    """By the page, or by what stands before all pages and speaks JSON."""
    schema = {"type": "object"}
    content = {"text/html": {"schema": {"type": "string"}}, "application/json": {"schema": schema}}
    return {"description": description, "content": content}


_FAILED = {
    "400": _failed("The form cannot be read."),
    "403": _failed("No page of ours sent the form."),
    "413": _failed("The form is too large."),
    "415": _failed("It is no form."),
    "429": _failed("Too many attempts; `Retry-After` says how long to wait."),
    "503": _failed("Something that is needed does not answer."),
}


paths: Mapping[str, Mapping[str, Any]] = {
    "/login": {
        "get": _page("loginPage", "Sign in.", "next", "set", "organization"),
        "post": _sent("sendLogin", "Sign in.", "email", "password", "next"),
    },
    "/login/sso/{idp_id}": {
        "get": _gone("ssoBegin", "Go to an identity provider to sign in.", "next")
    },
    "/login/sso/{idp_id}/callback": {
        "get": _gone("ssoCallback", "Come back from it.", "state", "code", "error", "iss")
    },
    "/login/sso/{idp_id}/acs": {
        "post": {
            **_came_back("ssoAcs", "Come back from a SAML provider."),
            "requestBody": {
                "required": True,
                "content": {
                    _FORM: {
                        "schema": {
                            "type": "object",
                            "properties": {
                                "SAMLResponse": {"type": "string"},
                                "RelayState": {"type": "string"},
                            },
                        }
                    }
                },
            },
        }
    },
    "/login/sso/{idp_id}/metadata": {
        "get": {
            **_gone("ssoMetadata", "What a SAML provider reads of this server."),
            "responses": {
                "200": {
                    "description": "The metadata.",
                    "content": {"application/samlmetadata+xml": {"schema": {"type": "string"}}},
                },
                "404": _html("There is no such provider."),
                "503": _html("The server lacks the extra `saml`."),
            },
        }
    },
    "/login/2fa": {
        "get": _page("secondStepPage", "The code of the second factor.", "next"),
        "post": _sent("sendSecondStep", "The code of the second factor.", "code", "next"),
    },
    "/logout": {
        "get": _page("logoutPage", "Sign out."),
        "post": _sent("sendLogout", "Sign out."),
    },
    "/reset": {
        "get": _page("resetPage", "A new password.", "token"),
        "post": _sent("sendReset", "A new password.", "email", "token", "password"),
    },
    "/welcome": {
        "get": _page("welcomePage", "The first password.", "token"),
        "post": _sent("sendWelcome", "The first password.", "token", "password"),
    },
    "/invite": {
        "get": _page("invitePage", "An invitation.", "token"),
        "post": _sent("sendInvite", "Accept an invitation.", "token", "name", "password"),
    },
    "/account": {"get": _page("accountPage", "One's own account.")},
    "/account/password": {
        "post": _sent("sendPassword", "Another password.", "current_password", "new_password")
    },
    "/account/email": {
        "post": _sent("sendEmail", "Another e-mail address.", "email", "password", "code")
    },
    "/email": {
        "get": _page("emailPage", "Confirm an e-mail address.", "token"),
        "post": _sent("sendConfirmEmail", "Confirm an e-mail address.", "token"),
    },
    "/account/2fa/enroll": {"post": _sent("sendEnroll", "Begin a second factor.", "password")},
    "/account/2fa/confirm": {"post": _sent("sendConfirm", "Turn it on.", "code")},
    "/account/2fa/disable": {"post": _sent("sendDisable", "Turn it off.", "password", "code")},
    "/account/2fa/recovery-codes": {
        "post": _sent("sendRecoveryCodes", "New recovery codes.", "password", "code")
    },
    "/account/sessions/end": {"post": _sent("sendEndSession", "End a session.", "session")},
    "/account/organization": {
        "post": _sent("sendOrganization", "Another organization.", "organization")
    },
}
