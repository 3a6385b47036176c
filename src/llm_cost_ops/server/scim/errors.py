"""Errors as SCIM clients read them (RFC 7644, 3.12)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from llm_cost_ops.server.http.body import encode
from llm_cost_ops.server.http.problems import Problem

ROOT = "/scim/v2"
MEDIA_TYPE = "application/scim+json; charset=utf-8"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


def refusal(status: int, detail: str, scim_type: str | None = None) -> Problem:
    """A refusal with its SCIM keyword."""
    code = {404: "NOT_FOUND", 409: "CONFLICT", 412: "CONFLICT", 403: "INSUFFICIENT_PERMISSIONS"}
    details = {"scimType": scim_type} if scim_type else None
    return Problem(status, code.get(status, "INVALID_REQUEST"), detail, details=details)


def error_form(problem: Problem) -> dict[str, object]:
    """A problem as a SCIM error. What is 422 elsewhere is 400 here: the RFC knows no other."""
    status = 400 if problem.status == 422 else problem.status
    scim_type = problem.details.get("scimType")
    if scim_type is None and status == 400:
        scim_type = "invalidValue" if problem.status == 422 else "invalidSyntax"
    detail = problem.message
    if problem.field_errors:
        told = (f"{field} {text}" for field, text in problem.field_errors.items())
        detail = "; ".join(told)
    form: dict[str, object] = {"schemas": [ERROR], "status": str(status), "detail": detail}
    if scim_type is not None:
        form["scimType"] = scim_type
    return form


def error_response(problem: Problem, _request: Request) -> Response:
    """The answer to a SCIM client."""
    form = error_form(problem)
    response = Response(encode(form), int(str(form["status"])), media_type=MEDIA_TYPE)
    if problem.headers:
        response.headers.update(problem.headers)
    return response
