"""From an error answer to the exception of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, cast

from llm_cost_ops.client.response import Response
from llm_cost_ops.exceptions import (
    APIError,
    AuthenticationError,
    BudgetExceededError,
    ConflictError,
    NotFoundError,
    PermissionDenied,
    RateLimitError,
    ServerError,
    ValidationError,
)

BY_STATUS: dict[int, type[APIError]] = {
    401: AuthenticationError,
    402: BudgetExceededError,
    403: PermissionDenied,
    404: NotFoundError,
    409: ConflictError,
    429: RateLimitError,
}


class Problem(NamedTuple):
    """What an error body says, in any of its documented forms."""

    message: str
    code: str | None = None
    field_errors: dict[str, str] | None = None
    request_id: str | None = None


def read_problem(response: Response) -> Problem:
    """From `{"error": {..}}`, `{"error": "text"}`, `{"message": ..}` or a body that is no JSON."""
    try:
        body: Any = response.json()
    except ValueError:
        body = None
    fallback = f"HTTP {response.status_code}"
    if not isinstance(body, Mapping):
        return Problem(fallback)
    outer = cast("Mapping[str, Any]", body)
    error = outer.get("error", outer)
    if not isinstance(error, Mapping):
        return Problem(str(error) if error else fallback, request_id=_text(outer.get("request_id")))
    inner = cast("Mapping[str, Any]", error)
    fields = _fields(inner.get("field_errors") or inner.get("errors"))
    message = _text(inner.get("message")) or _text(inner.get("detail")) or _summary(fields)
    request_id = _text(inner.get("request_id")) or _text(outer.get("request_id"))
    return Problem(message or fallback, _text(inner.get("code")), fields, request_id)


def error_from(response: Response, now: datetime) -> APIError:
    """The exception of a refusal or failure. `now` is what a Retry-After date counts from."""
    status = response.status_code
    problem = read_problem(response)
    request_id = problem.request_id or response.headers.get("x-request-id")
    if status in (400, 422) and problem.field_errors:
        return ValidationError(
            problem.message,
            field_errors=problem.field_errors,
            status_code=status,
            code=problem.code,
            response=response,
            request_id=request_id,
        )
    kind = BY_STATUS.get(status, ServerError if status >= 500 else APIError)
    error = kind(
        problem.message,
        status_code=status,
        code=problem.code,
        response=response,
        request_id=request_id,
    )
    if isinstance(error, RateLimitError):
        error.retry_after = response.retry_after(now)
    return error


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _fields(value: Any) -> dict[str, str] | None:
    if not isinstance(value, Mapping):
        return None
    items = cast("Mapping[str, Any]", value).items()
    return {str(name): str(text) for name, text in items}


def _summary(fields: Mapping[str, str] | None) -> str | None:
    return "; ".join(f"{name} {text}" for name, text in fields.items()) if fields else None
