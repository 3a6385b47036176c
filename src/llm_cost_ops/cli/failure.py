"""From an exception to one line on standard error and the exit code."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from llm_cost_ops.core.errors import DomainError

OK = 0
GENERAL = 1
ARGUMENTS = 2
AUTH = 3
API = 4
DATABASE = 5
INTERRUPTED = 130
TRACEBACK_VERBOSITY = 2

EXTRAS: Mapping[str, str] = {
    "numpy": "forecast",
    "plotille": "cli",
    "pyarrow": "files",
    "zstandard": "files",
    "psycopg": "postgres",
    "pymysql": "mysql",
    "redis": "redis",
    "rich": "cli",
    "statsforecast": "forecast",
    "yaml": "cli",
    **dict.fromkeys(
        (
            "alembic", "anyio", "fastapi", "httptools", "msgspec", "prometheus_client",
            "sqlalchemy", "starlette", "structlog", "uvicorn", "uvloop",
        ),
        "server",
    ),
}  # fmt: skip
"""The extra that brings a package."""

DRIVERS = frozenset({"sqlite3", "psycopg", "pymysql"})
_DATABASE_CODES = frozenset({"DATABASE_ERROR", "SERVICE_UNAVAILABLE"})
_AUTH_CODES = frozenset({"AUTH_001", "INSUFFICIENT_PERMISSIONS", "ORGANIZATION_MISMATCH"})
_FORECAST_CODES = frozenset({"FORECAST_001", "FORECAST_002"})
_FOUND_CODES = frozenset({"CONFLICT", "COST_001", "FORECAST_001", "NOT_FOUND"})


class CommandError(Exception):
    """A command that cannot do what it was asked; the text is for the person at the terminal."""

    def __init__(
        self, message: str, *, code: str = "VALIDATION_ERROR", exit_code: int = GENERAL
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Failure:
    """What is told of an error: its stable code, a sentence, and the exit code of the process."""

    code: str
    message: str
    exit_code: int
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    request_id: str | None = None

    @property
    def line(self) -> str:
        """One line, whatever the message holds."""
        details = [f"{name}: {text}" for name, text in self.fields.items()]
        more = [each for each in details if each.partition(": ")[2] not in self.message]
        shown = f"{self.message} ({'; '.join(more)})" if more else self.message
        said = {*self.fields.values(), *(f"{name} {text}" for name, text in self.fields.items())}
        if self.message in said:
            shown = "; ".join(details)
        return f"Error [{self.code}]: {' '.join(shown.split())}"


def failure_of(error: BaseException, *, local: bool = False) -> Failure:
    """What to tell of an exception. `local`: the API that answered was the app of this process."""
    if isinstance(error, CommandError):
        return Failure(error.code, error.message, error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        return Failure("INTERRUPTED", "stopped", INTERRUPTED)
    if isinstance(error, DomainError):
        fields = {} if error.message in error.field_errors.values() else error.field_errors
        named = f"{error.field}: {error.message}" if error.field else error.message
        return Failure(error.code, named + _driver_said(error), _of_domain(error), fields)
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in EXTRAS:
        return _missing(error.name or "")
    usage = getattr(error, "format_message", None)
    if usage is not None:
        return Failure("VALIDATION_ERROR", _usage(error, usage()), ARGUMENTS)
    return _of_sdk(error, local=local) or _of_settings(error) or _unexpected(error)


def _of_domain(error: DomainError) -> int:
    if error.code in _DATABASE_CODES:
        return DATABASE
    if error.code in _AUTH_CODES:
        return AUTH
    return GENERAL if error.code in _FOUND_CODES else ARGUMENTS


def _driver_said(error: DomainError) -> str:
    """What the database's driver said of itself (no statement, no password); the server keeps it
    to its log, but whoever runs a command is who has to mend it."""
    cause = error.__cause__
    origin: object = getattr(cause, "orig", cause)
    if error.code not in _DATABASE_CODES or type(origin).__module__.split(".")[0] not in DRIVERS:
        return ""
    told = "".join(map(str, getattr(origin, "args", ())[-1:])).strip().split("\n")[0]
    return f" ({told})" if told else ""


def _missing(name: str) -> Failure:
    package = name.split(".")[0]
    command = f"pip install 'llm-cost-ops[{EXTRAS[package]}]'"
    return Failure("MISSING_EXTRA", f"this needs the package {package}: {command}", GENERAL)


def _usage(error: BaseException, message: str) -> str:
    context: Any = getattr(error, "ctx", None)
    path = getattr(context, "command_path", None)
    text = message.replace("\n", " ").rstrip(".")
    return f"{text} (see `{path} --help`)" if path else text


def _of_sdk(error: BaseException, *, local: bool) -> Failure | None:
    from llm_cost_ops import exceptions as sdk

    if not isinstance(error, sdk.CostOpsError):
        return None
    code = error.code or ("NETWORK_ERROR" if isinstance(error, sdk.NetworkError) else "API_ERROR")
    fields = cast("Mapping[str, str]", getattr(error, "field_errors", {}))
    exit_code = API
    if isinstance(error, sdk.AuthenticationError | sdk.PermissionDenied):
        exit_code = AUTH
    elif code in _FORECAST_CODES:
        exit_code = GENERAL
    elif isinstance(error, sdk.ConfigurationError):
        code, exit_code = "CONFIGURATION_ERROR", ARGUMENTS
    elif error.status_code in (400, 422) or isinstance(error, sdk.ValidationError):
        exit_code = ARGUMENTS
    elif local and (error.status_code == 503 or code in _DATABASE_CODES):
        exit_code = DATABASE
    shown = _lost(error) or error.message or "the server refused the request"
    return Failure(code, shown, exit_code, fields, error.request_id)


def _lost(error: Exception) -> str | None:
    """`GET http://host/path: Connection refused`, without the names of the layers between; None
    for an error that no system call is the root of."""
    root: BaseException | None = error
    while root is not None:
        if isinstance(root, OSError) and root.strerror:
            return f"{str(error).partition(': ')[0]}: {root.strerror}"
        root = root.__cause__ or root.__context__
    return None


def _of_settings(error: BaseException) -> Failure | None:
    problems = cast("tuple[str, ...]", getattr(error, "problems", ()))
    if not problems:
        return None
    return Failure("CONFIGURATION_ERROR", "; ".join(problems), ARGUMENTS)


def _unexpected(error: BaseException) -> Failure:
    if isinstance(error, OSError):
        named = f"{error.filename}: " if error.filename else ""
        return Failure("IO_ERROR", f"{named}{error.strerror or error}", GENERAL)
    named = f"{type(error).__name__}: {error} (-vv shows where)"
    return Failure("INTERNAL_ERROR", named, GENERAL)


def report(error: BaseException, *, verbose: int = 0, local: bool = False) -> int:
    """Tell of an error on standard error; its exit code."""
    failure = failure_of(error, local=local)
    if verbose >= TRACEBACK_VERBOSITY:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    print(failure.line, file=sys.stderr)
    if verbose and failure.request_id:
        print(f"request {failure.request_id}", file=sys.stderr)
    return failure.exit_code
