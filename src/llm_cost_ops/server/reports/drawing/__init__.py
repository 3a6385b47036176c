"""Reports drawn: the same document as PDF, Excel workbook, HTML page or Markdown.

The libraries of a form are imported when it is drawn, by the extra `reports`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from llm_cost_ops.core.report.document import Document
from llm_cost_ops.server.reports.drawing import marked, pages, webpage, workbook
from llm_cost_ops.server.reports.drawing.looks import LooksError, check_logo, check_style

__all__ = [
    "ALIASES",
    "ENDINGS",
    "MEDIA_TYPES",
    "Form",
    "LooksError",
    "check_logo",
    "check_style",
    "draw",
]

Form = Literal["pdf", "xlsx", "html", "markdown"]
MEDIA_TYPES: Mapping[Form, str] = {
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html; charset=utf-8",
    "markdown": "text/markdown; charset=utf-8",
}
ENDINGS: Mapping[Form, str] = {"pdf": ".pdf", "xlsx": ".xlsx", "html": ".html", "markdown": ".md"}
ALIASES: Mapping[str, Form] = {"excel": "xlsx", "md": "markdown"}
_FORMS: Mapping[Form, Callable[[Document], bytes]] = {
    "pdf": pages.draw,
    "xlsx": workbook.draw,
    "html": webpage.draw,
    "markdown": marked.draw,
}


def draw(document: Document, form: Form) -> bytes:
    """The file of a report; the same document gives the same bytes with the same libraries.

    Raises LooksError for a colour that cannot be drawn, FilesMissing (503) when the server
    lacks a library of the form.
    """
    return _FORMS[form](document)
