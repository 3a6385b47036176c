"""The looks of an organization's reports: two colours and a logo."""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.report.document import Style
from llm_cost_ops.server.access.deps import own_fields
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.http.problems import Problem, invalid
from llm_cost_ops.server.reports import store
from llm_cost_ops.server.reports.drawing.looks import MAX_LOGO_BYTES, LooksError, checked

Row = Mapping[str, Any]
PLAIN = Style()
MAX_LOGO_TEXT = (MAX_LOGO_BYTES + 2) // 3 * 4
"""Characters of base64 that the largest logo has."""
_FIELDS = {"primary": "primary_color", "accent": "accent_color", "logo": "logo"}


def style_of(session: ReadSession, organization_id: str) -> Style:
    """The looks that reports of the organization have from now on."""
    row = store.style(session, organization_id)
    if row is None:
        return PLAIN
    logo = None if row["logo"] is None else b64decode(row["logo"])
    return Style(logo, row["primary_color"], row["accent_color"])


def wire(row: Row | None) -> dict[str, Any]:
    """A style as it is answered; `updated_at` is null where nobody chose one."""
    if row is None:
        return {
            "primary_color": PLAIN.primary,
            "accent_color": PLAIN.accent,
            "logo": None,
            "updated_at": None,
        }
    colours = {name: row[name] for name in ("primary_color", "accent_color", "logo")}
    return {**colours, "updated_at": format_micros(row["updated_at"])}


def keep_style(
    session: WriteSession, body: Mapping[str, object], principal: Principal, actor: Actor
) -> Row:
    """Replace the looks; what is left out is as without a style. Raises Problem 422."""
    row = {**_row_of(own_fields(principal, body)), "updated_at": actor.now_us}
    before = store.style(session, principal.organization_id)
    store.keep_style(session, principal.organization_id, row)
    actor.record(
        session, "report_style.changed", "report_style", principal.organization_id,
        None if before is None else _told(before), _told(row),
    )  # fmt: skip
    return row


def remove_style(session: WriteSession, principal: Principal, actor: Actor) -> None:
    """Forget the looks, if there are any."""
    before = store.style(session, principal.organization_id)
    if before is None:
        return
    store.remove_style(session, principal.organization_id)
    told = _told(before)
    actor.record(
        session, "report_style.deleted", "report_style", principal.organization_id, told, None
    )


def _row_of(fields: dict[str, object]) -> dict[str, Any]:
    primary = _text(fields, "primary_color") or PLAIN.primary
    accent = _text(fields, "accent_color") or PLAIN.accent
    logo = _text(fields, "logo")
    if fields:
        unknown = dict.fromkeys(sorted(fields), "is not a known field")
        raise Problem(422, "VALIDATION_ERROR", "The request is not valid.", unknown)
    try:
        looks = checked(Style(None if logo is None else _decoded(logo), primary, accent))
    except LooksError as error:
        raise invalid(_FIELDS[error.field or "logo"], error.message) from None
    return {
        "primary_color": primary,
        "accent_color": accent,
        "logo": None if looks.logo is None else b64encode(looks.logo.png).decode("ascii"),
    }


def _text(fields: dict[str, object], name: str) -> str | None:
    value = fields.pop(name, None)
    if value is not None and not isinstance(value, str):
        raise invalid(name, "must be a text")
    return value


def _decoded(logo: str) -> bytes:
    if len(logo) > MAX_LOGO_TEXT:
        raise LooksError("the logo must be at most 1 MiB", field="logo")
    try:
        return b64decode(logo, validate=True)
    except (binascii.Error, ValueError):
        raise LooksError("must be a PNG or JPEG file in base64", field="logo") from None


def _told(row: Row) -> dict[str, Any]:
    """For the audit log: a picture as its digest."""
    logo = row["logo"]
    digest = None if logo is None else hashlib.sha256(b64decode(logo)).hexdigest()
    return {
        "primary_color": row["primary_color"],
        "accent_color": row["accent_color"],
        "logo_sha256": digest,
    }
