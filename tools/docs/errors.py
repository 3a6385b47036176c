"""Writes docs/reference/errors.md: every code of the API, the command line and the SDK.

python tools/docs/errors.py            write it
python tools/docs/errors.py --check    exit 1 when it is not up to date
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from llm_cost_ops.client.failures import BY_STATUS
from llm_cost_ops.exceptions import ServerError
from llm_cost_ops.server.http.problems import STATUS_OF

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "errors.md"

API: Mapping[str, str] = {
    "AUTH_001": "No API key, an unknown, expired or revoked one.",
    "BUDGET_EXCEEDED": "The call does not fit into a hard budget; `budget_id` and the amounts are "
    "beside the text.",
    "CONFLICT": "The state forbids it: an event id or `Idempotency-Key` came before with another "
    "payload, an import was undone already.",
    "COST_001": "No price is known; the text names provider, model and date. 404 when it was asked "
    "for, 422 when a record needed it (`strict`).",
    "CSRF_FAILED": "A change that a session's cookie vouches for lacks `X-CSRF-Token`, or comes "
    "from a page of another origin.",
    "EXPORT_EXPIRED": "The file of the export was removed: its time was over, or it was deleted. "
    "Order it again.",
    "FORECAST_001": "Insufficient data: less than 7 days, weeks or months were spent in.",
    "FORECAST_002": "The server lacks the library of the model `auto`; the text has the pip "
    "command.",
    "INSUFFICIENT_PERMISSIONS": "The key lacks the permission that the text names.",
    "INTERNAL_ERROR": "A fault of the server; its log has the request id.",
    "INVALID_DATE_RANGE": "The period ends before it begins.",
    "INVALID_PRICING": "A price definition or formula that cannot be used.",
    "INVALID_REQUEST": "The request cannot be read: no JSON, a wrong header, a broken compression.",
    "LAST_ADMIN": "The only administrator of an organization cannot be removed, disabled or "
    "demoted.",
    "LINK_INVALID": "A link that was sent to somebody is unknown, used or has ended.",
    "METHOD_NOT_ALLOWED": "The path is right, the method is not; `Allow` names those that are.",
    "NOT_FOUND": "No such path, or no such id in the organization of the key.",
    "ORGANIZATION_MISMATCH": "The request names another organization than that of the key.",
    "PAYLOAD_TOO_LARGE": "Body or batch above `ingest.max_body_bytes` or "
    "`ingest.max_batch_records`.",
    "RATE_LIMIT_EXCEEDED": "Too many requests, too many failed attempts to sign in, or a budget "
    "lets fewer calls through now; `Retry-After` says when to try again.",
    "REAUTHENTICATION_REQUIRED": "A change of how one signs in needs the current password.",
    "SECOND_FACTOR_FAILED": "The code is wrong or was used before.",
    "SECOND_FACTOR_REQUIRED": "The password was right; `totp` or `recovery_code` is missing.",
    "SERVICE_UNAVAILABLE": "The database cannot be used now; `Retry-After` says when to try again.",
    "SIGN_IN_FAILED": "The e-mail address or the password is wrong; which is not told.",
    "SSO_FAILED": "An identity provider vouched for nobody, or for nobody who is known here; the "
    "audit log says why.",
    "SSO_REQUIRED": "The organization takes no passwords: sign in by its identity provider.",
    "UNSUPPORTED_MEDIA_TYPE": "The `Content-Type` or `Content-Encoding` is none that is read.",
    "USAGE_001": "A usage record that cannot be true or read.",
    "VALIDATION_ERROR": "Fields or parameters at fault, each with its text in `field_errors`.",
}
LOCAL: Mapping[str, tuple[str, str]] = {
    "API_ERROR": ("4", "The server answered something that is not its API."),
    "CONFIGURATION_ERROR": ("2", "A wrong setting, named with its source."),
    "DATABASE_ERROR": ("5", "The local database has no schema or an old one."),
    "FORECAST_001": ("1", "Insufficient data: a series shorter than 7 days, weeks or months."),
    "INTERNAL_ERROR": ("1", "A fault of the program; `-vv` shows where."),
    "INTERRUPTED": ("130", "Stopped from the keyboard."),
    "IO_ERROR": ("1", "A file cannot be read or written."),
    "MISSING_EXTRA": ("1", "A package is not installed; the text has the pip command."),
    "NETWORK_ERROR": ("4", "The server did not answer."),
}

HEAD = """\
# Errors

<!-- Written by tools/docs/errors.py: change it there. -->

Every error of the API has the same envelope. Codes are stable, texts are for people.

```json
{"error": {"code": "VALIDATION_ERROR", "message": "The request is not valid.",
           "field_errors": {"period": "must be one of: today, ..."}, "request_id": "..."}}
```

In a batch each refused item has such an `error` of its own, and the others are stored.

| code | status | SDK | |
|---|---|---|---|
"""
TAIL = """
The SDK's exceptions are in `llm_cost_ops.exceptions`; each has `code`, `status_code`, `request_id`
and `response`, and `ValidationError` has `field_errors`. Without an answer it raises `NetworkError`
or `TimeoutError`, for a setting that cannot be used `ConfigurationError`.

## Command line

One line on standard error, `Error [CODE]: text`. The codes of the API keep their meaning (exit code
2 for wrong values, 3 for keys and permissions, 4 for other refusals, 5 when the local database
cannot be used); these are the program's own:

| code | exit code | |
|---|---|---|
"""


def page() -> str:
    """The whole page. Raises ValueError when a code of the API has no text, or the reverse."""
    if API.keys() != STATUS_OF.keys():
        raise ValueError(f"codes without a text, or not in use: {API.keys() ^ STATUS_OF.keys()}")
    rows = [
        f"| `{code}` | {STATUS_OF[code]} | {_exception(code)} | {text} |\n"
        for code, text in sorted(API.items())
    ]
    local = [f"| `{code}` | {exit_code} | {text} |\n" for code, (exit_code, text) in LOCAL.items()]
    return "".join([HEAD, *rows, TAIL, *local])


def _exception(code: str) -> str:
    status = STATUS_OF[code]
    if code == "FORECAST_001":  # no field is at fault
        return "`APIError`"
    if status == 422:
        return "`ValidationError`"
    fallback = ServerError.__name__ if status >= 500 else "APIError"
    return f"`{BY_STATUS[status].__name__ if status in BY_STATUS else fallback}`"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    made = page()
    if not check:
        PAGE.write_text(made, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == made:
        return 0
    sys.stderr.write(f"{PAGE.relative_to(ROOT)} is not up to date: run {__file__}\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
