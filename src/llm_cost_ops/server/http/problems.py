"""Errors on the wire: every one of them is `{"error": {code, message, field_errors?, request_id}}`.

Rooms raise the domain's errors; here, at the edge, they become a status. What is not known becomes
a 500 that tells nothing but the request id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.db.errors import DatabaseUnavailable, SerializationRetry
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.request_id import request_id

MAX_FIELD_ERRORS = 100
RETRY_SECONDS = 1
CLIENT_CLOSED = 499
"""The status that is logged when the client went away before its answer."""

STATUS_OF: Mapping[str, int] = {
    "AUTH_001": 401,
    "BUDGET_EXCEEDED": 402,
    "CONFLICT": 409,
    "COST_001": 404,
    "CSRF_FAILED": 403,
    "EXPORT_EXPIRED": 410,
    "FORECAST_001": 422,
    "FORECAST_002": 422,
    "INSUFFICIENT_PERMISSIONS": 403,
    "INTERNAL_ERROR": 500,
    "INVALID_DATE_RANGE": 422,
    "INVALID_PRICING": 422,
    "INVALID_REQUEST": 400,
    "LAST_ADMIN": 409,
    "LINK_INVALID": 400,
    "METHOD_NOT_ALLOWED": 405,
    "NOT_FOUND": 404,
    "ORGANIZATION_MISMATCH": 403,
    "PAYLOAD_TOO_LARGE": 413,
    "RATE_LIMIT_EXCEEDED": 429,
    "REAUTHENTICATION_REQUIRED": 403,
    "SECOND_FACTOR_FAILED": 401,
    "SECOND_FACTOR_REQUIRED": 401,
    "SERVICE_UNAVAILABLE": 503,
    "SIGN_IN_FAILED": 401,
    "SSO_FAILED": 401,
    "SSO_REQUIRED": 403,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "USAGE_001": 422,
    "VALIDATION_ERROR": 422,
}
_CODE_OF_STATUS = {
    400: "INVALID_REQUEST",
    401: "AUTH_001",
    403: "INSUFFICIENT_PERMISSIONS",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "VALIDATION_ERROR",
    503: "SERVICE_UNAVAILABLE",
}


class Problem(HTTPException):
    """An answer that is an error; `details` are further fields of it.

    It is an HTTPException so that FastAPI lets it pass unchanged when it is raised while a body is
    being read.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        field_errors: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(status, message, dict(headers) if headers else None)
        self.status = status
        self.code = code
        self.message = message
        self.field_errors: dict[str, str] = dict(field_errors or {})
        self.details: dict[str, object] = dict(details or {})


def invalid(field: str, message: str) -> Problem:
    """422 with one field."""
    return Problem(422, "VALIDATION_ERROR", "The request is not valid.", {field: message})


def not_found(message: str = "Not found.") -> Problem:
    """404 for what does not exist and for what belongs to another organization, alike."""
    return Problem(404, "NOT_FOUND", message)


def unavailable(message: str, retry_after: int = RETRY_SECONDS) -> Problem:
    return Problem(
        503, "SERVICE_UNAVAILABLE", message, headers={"Retry-After": str(max(1, retry_after))}
    )


def error_body(problem: Problem, identifier: str) -> dict[str, object]:
    """The envelope."""
    error: dict[str, object] = {"code": problem.code, "message": problem.message}
    error.update(problem.details)
    if problem.field_errors:
        error["field_errors"] = problem.field_errors
    error["request_id"] = identifier
    return {"error": error}


def problem_of(error: Exception, method: str = "GET") -> Problem:
    """Any exception as the problem that the caller may see.

    A missing price (COST_001) is 404 when it was asked for, and 422 when a body needed it.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, (DatabaseUnavailable, SerializationRetry)):
        return unavailable(error.message, error.retry_after)
    if isinstance(error, DomainError):
        status = STATUS_OF.get(error.code, 500)
        if error.code == "COST_001" and method not in ("GET", "HEAD"):
            status = 422
        if status >= 500:
            return internal_error()
        return _of_domain(error, status)
    if isinstance(error, RequestValidationError):
        return Problem(
            422,
            "VALIDATION_ERROR",
            "The request is not valid.",
            field_errors(error.errors()),
        )
    if isinstance(error, HTTPException):
        return _from_status(error)
    return internal_error()


def _of_domain(error: DomainError, status: int) -> Problem:
    """A fault of one field is a validation error that names it; without a field USAGE_001 refuses
    the whole record."""
    if error.field is None:
        return Problem(status, error.code, error.message)
    code = "VALIDATION_ERROR" if error.code == "USAGE_001" else error.code
    return Problem(status, code, f"{error.field} {error.message}", error.field_errors)


def internal_error() -> Problem:
    return Problem(500, "INTERNAL_ERROR", "The server failed to answer this request.")


def _from_status(error: HTTPException) -> Problem:
    code = _CODE_OF_STATUS.get(error.status_code, "INVALID_REQUEST")
    phrase = HTTPStatus(error.status_code).phrase
    message = error.detail if error.detail and error.detail != phrase else f"{phrase}."
    if error.status_code >= 500 and code not in _CODE_OF_STATUS.values():
        return internal_error()
    return Problem(error.status_code, code, message, headers=error.headers)


def field_errors(errors: Sequence[Any]) -> dict[str, str]:
    """Validation errors as `{"records.3.model": text}`. The rejected input is never repeated:
    it may be a secret in the wrong field."""
    found: dict[str, str] = {}
    for item in errors[:MAX_FIELD_ERRORS]:
        location = [str(part) for part in item["loc"]]
        name = ".".join(location[1:] if len(location) > 1 else location)
        found.setdefault(name, _plain_text(item))
    return found


_TEXTS = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "bool_parsing": "must be true or false",
    "string_too_long": "is too long",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "has characters that are not allowed",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_attributes_type": "must be an object",
}


def _plain_text(item: Any) -> str:
    known = _TEXTS.get(item["type"])
    if known is not None:
        return known
    text: str = item["msg"]
    return text.removeprefix("Value error, ").replace("Input should be", "must be", 1)


Form = Callable[[Problem, Request], Response]
_FORMS: dict[str, Form] = {}


def speak(root: str, form: Form) -> None:
    """Write the errors of all paths below `root` in another form: one that a protocol demands."""
    _FORMS[root] = form


def problem_response(error: Exception, request: Request) -> Response:
    """The answer for any exception."""
    problem = problem_of(error, request.method)
    path: str = request.scope["path"]
    for root, form in _FORMS.items():
        if path == root or path.startswith(f"{root}/"):
            return form(problem, request)
    response = json_response(error_body(problem, request_id(request.scope)), problem.status)
    if problem.headers:
        response.headers.update(problem.headers)
    return response


async def _gone(_request: Request, _error: Exception) -> Response:
    """Nobody hears this; the status is for the log."""
    return Response(status_code=CLIENT_CLOSED)


async def _answer(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        return problem_response(_not_allowed(request), request)
    return problem_response(error, request)


def _not_allowed(request: Request) -> Problem:
    """405 with the methods of all routes on this path, not only those of the first one; where a
    path is named as it is, not those of routes for which it would be an id."""
    found = [
        route
        for route in request.app.router.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
    ]
    named = [route for route in found if route.path == request.scope["path"]]
    methods = {method for route in named or found for method in route.methods or ()}
    if "GET" in methods:
        methods.add("HEAD")
    allow = {"Allow": ", ".join(sorted(methods))}
    return Problem(405, "METHOD_NOT_ALLOWED", "This path does not know the method.", headers=allow)


def install(app: FastAPI) -> None:
    """Make every error of a route the one envelope."""
    app.add_exception_handler(ClientDisconnect, _gone)
    for kind in (HTTPException, RequestValidationError, DomainError, Exception):
        app.add_exception_handler(kind, _answer)
