"""Errors of the SDK. Each carries an int `status_code`: `error.status_code >= 500` always works.

CostOpsError                     status_code 0 when no answer was received
├── ConfigurationError           0    a setting, a missing extra or an unusable argument
├── WebhookSignatureError        0    a webhook that is not ours, or too old
├── NetworkError                 0    no answer: connection refused, reset, TLS failure
│   └── TimeoutError             0    no answer in time
└── APIError                     any  the server answered with an error
    ├── AuthenticationError      401
    ├── PermissionDenied         403
    ├── BudgetExceededError      402  the call does not fit into `budget_id`
    ├── NotFoundError            404
    ├── ConflictError            409  same event_id or Idempotency-Key, other payload
    ├── ValidationError          400, 422 with `field_errors`; 0 when found before sending
    ├── RateLimitError           429  `retry_after` seconds
    └── ServerError              500 and above
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class CostOpsError(Exception):
    """Base of all SDK errors.

    `code` is the server's stable error code (`COST_001`), `request_id` names the request in the
    server's log, `response` is the answer that caused the error (`.status_code`, `.headers`,
    `.text`, `.json()`) or None.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status_code: int = 0,
        code: str | None = None,
        response: Any = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code
        self.code = code
        self.response = response
        self.request_id = request_id
        self.completed: list[Any] | None = None
        """The results that a call in several batches had before this error; else None."""


class ConfigurationError(CostOpsError, ValueError):
    """A setting that cannot be used, named with its source; or an extra that is not installed."""


class WebhookSignatureError(CostOpsError):
    """A received webhook without a signature by the secret, or with one that is too old: answer
    it with 401."""


class NetworkError(CostOpsError):
    """No answer was received. `retryable` is False where another attempt must fail too (TLS)."""

    def __init__(self, message: str = "", *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class TimeoutError(NetworkError):
    """No answer within the timeout. The server may still have done the work."""


class APIError(CostOpsError):
    """The server answered with an error status, or with something that is not its API."""


class AuthenticationError(APIError):
    """401: the API key or token is missing, unknown, expired or revoked."""


class PermissionDenied(APIError):
    """403: the credentials lack a scope, or name another organization."""


class BudgetExceededError(APIError):
    """402: the call does not fit into a hard budget. `details` has the amounts."""

    @property
    def details(self) -> Mapping[str, Any]:
        """What the server said: budget_id, requested, limit, spent, reserved, remaining, .."""
        try:
            return self.response.json()["error"]
        except (AttributeError, KeyError, TypeError, ValueError):
            return {}

    @property
    def budget_id(self) -> str | None:
        return self.details.get("budget_id")


class NotFoundError(APIError):
    """404: no such id in the organization of the credentials."""


class ConflictError(APIError):
    """409: the same event_id or Idempotency-Key came before with another payload."""


class ValidationError(APIError):
    """Data at fault: `field_errors` (also `errors`) maps each field to its text.

    400 or 422 from the server, or 0 when the SDK already found data that cannot be sent.
    """

    def __init__(
        self,
        message: str = "",
        *,
        field_errors: Mapping[str, str] | None = None,
        status_code: int = 0,
        code: str | None = None,
        response: Any = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(
            message, status_code=status_code, code=code, response=response, request_id=request_id
        )
        self.field_errors: dict[str, str] = dict(field_errors or {})

    def __str__(self) -> str:
        """The message, with the fields that it does not tell."""
        told = {name: text for name, text in self.field_errors.items() if text not in self.message}
        details = "; ".join(f"{name}: {text}" for name, text in told.items())
        return f"{self.message} ({details})" if details else self.message

    @property
    def errors(self) -> dict[str, str]:
        return self.field_errors


class RateLimitError(APIError):
    """429. `retry_after` is the server's wish in seconds, or None when it gave none."""

    retry_after: float | None = None


class ServerError(APIError):
    """500 and above: the server failed or is not available."""


AuthorizationError = PermissionDenied
ResourceNotFoundError = NotFoundError
