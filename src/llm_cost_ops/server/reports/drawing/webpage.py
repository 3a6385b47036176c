"""HTML: one file without scripts and without anything from outside, escaped by its template."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import TYPE_CHECKING

from llm_cost_ops.core.report.document import Document
from llm_cost_ops.server.reports.drawing.appendix import with_appendix
from llm_cost_ops.server.reports.drawing.layout import laid_out
from llm_cost_ops.server.reports.drawing.looks import drawn_looks
from llm_cost_ops.server.reports.drawing.svg import Font

if TYPE_CHECKING:
    from jinja2 import Template

_FONT = Font('"Liberation Sans", Arial, Helvetica, sans-serif', 0.57)


def draw(document: Document) -> bytes:
    """The page. Raises LooksError, FilesMissing (for a logo)."""
    from markupsafe import Markup

    looks = drawn_looks(document.style)
    laid = laid_out(with_appendix(document, charts=True), looks, _FONT)
    for section in laid["sections"]:
        for block in section["blocks"]:
            if block["kind"] == "chart":  # made by us, each text in it escaped
                block["svg"] = Markup(block["svg"])  # noqa: S704
    logo = None if looks.logo is None else base64.b64encode(looks.logo.png).decode("ascii")
    return _template().render(**laid, logo=logo).encode()


@lru_cache(maxsize=1)
def _template() -> Template:
    # Imported by the first report, as that of notices is by the first mail.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("llm_cost_ops.server.reports.drawing"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")
