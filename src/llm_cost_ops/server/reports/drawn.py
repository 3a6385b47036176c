"""A stored report as a file, in any of its forms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from llm_cost_ops.core.report.text import from_text
from llm_cost_ops.server.http.openapi import JSON
from llm_cost_ops.server.reports import drawing
from llm_cost_ops.server.reports.asked import FORM_ALIASES, FORMS

_DOCUMENT = "json"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+", re.ASCII)


def form_of(given: str | None, row: Mapping[str, Any]) -> str | None:
    """The form by any of its names, that of the request where none is given; None if unknown."""
    name = (given or str(row["format"])).strip().lower()
    name = FORM_ALIASES.get(name, name)
    return name if name in FORMS else None


def drawn(row: Mapping[str, Any], form: str) -> bytes:
    """The file. Raises FilesMissing where the server lacks the library of the form."""
    text = str(row["document"])
    if form == _DOCUMENT:
        return text.encode()
    return drawing.draw(from_text(text), _form(form))


def media_type(form: str) -> str:
    """The media type of a form."""
    return JSON if form == _DOCUMENT else drawing.MEDIA_TYPES[_form(form)]


def disposition(row: Mapping[str, Any], form: str) -> str:
    """What a browser calls the file: the title where it can, else the type and the id."""
    ending = ".json" if form == _DOCUMENT else drawing.ENDINGS[_form(form)]
    plain = _UNSAFE.sub("-", f"{row['type']}-{row['id']}")
    title = re.sub(r"[\\/:*?\"<>|\x00-\x1f\x7f]+", " ", str(row["title"])).strip(". ")[:100]
    named = quote(f"{title or plain}{ending}", safe="")
    return f"attachment; filename=\"{plain}{ending}\"; filename*=UTF-8''{named}"


def _form(form: str) -> drawing.Form:
    for known in drawing.MEDIA_TYPES:
        if known == form:
            return known
    raise LookupError(form)
