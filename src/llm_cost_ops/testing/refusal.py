"""A refusal of the fake server, as the real one words it."""

from __future__ import annotations

from collections.abc import Mapping


class Refusal(Exception):
    """An error answer: status, code, message, the fields at fault, and `details` beside these."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        field_errors: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field_errors = dict(field_errors or {})
        self.headers = dict(headers or {})
        self.details = dict(details or {})

    def error(self) -> dict[str, object]:
        error: dict[str, object] = {"code": self.code, "message": self.message, **self.details}
        if self.field_errors:
            error["field_errors"] = self.field_errors
        return error


def invalid(field: str, text: str) -> Refusal:
    return Refusal(422, "VALIDATION_ERROR", f"{field} {text}", {field: text})


def not_found(what: str) -> Refusal:
    return Refusal(404, "NOT_FOUND", f"{what} not found")
