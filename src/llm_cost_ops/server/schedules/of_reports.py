"""Reports as what a schedule delivers: made of the run's period and drawn in the form asked for."""

from __future__ import annotations

from llm_cost_ops.core.instant import from_micros, to_micros
from llm_cost_ops.core.period import Window
from llm_cost_ops.core.report.text import to_text
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.analytics.request import ZONE_NAMES, Home
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.http.openapi import JSON
from llm_cost_ops.server.reports import drawing
from llm_cost_ops.server.reports.ask import wanted_within
from llm_cost_ops.server.reports.asked import Wanted, form_name, sections_of
from llm_cost_ops.server.reports.make import make_report
from llm_cost_ops.server.reports.types import SECTIONS, needs_of
from llm_cost_ops.server.schedules.produce import (
    Made,
    Parameters,
    ParametersError,
    refuse_own,
    totals,
)


class Reports:
    """Reports, as `POST /reports/generate` makes them."""

    permissions = ("write:reports", "read:costs", "export:data")

    def needs(self, parameters: Parameters, /) -> tuple[str, ...]:
        kind = form_name(str(parameters.get("type") or "cost_summary"), {})
        if kind == "custom":
            return needs_of(sections_of(parameters.get("sections")))
        return needs_of(SECTIONS.get(kind, ()))

    def check(self, parameters: Parameters, principal: Principal, at: Home) -> None:
        self._wanted(parameters, principal, at, None)

    def make(
        self,
        database: Database,
        parameters: Parameters,
        principal: Principal,
        at: Home,
        window: Window,
    ) -> Made:
        wanted = self._wanted(parameters, principal, at, window)
        # Of the scheduled time, so that a run which is tried again makes the same report.
        document = make_report(database, wanted, at, to_micros(at.now))
        forms: dict[str, drawing.Form] = {form: form for form in drawing.MEDIA_TYPES}
        known = forms.get(wanted.form)
        if known is None:
            content, suffix, media_type = to_text(document).encode(), ".json", JSON
        else:
            content = drawing.draw(document, known)
            suffix, media_type = drawing.ENDINGS[known], drawing.MEDIA_TYPES[known]
        facts = totals(database, wanted.selection, at)
        return Made(
            wanted.kind.replace("_", "-"), suffix, media_type, iter((content,)), lambda: facts
        )

    def _wanted(
        self, parameters: Parameters, principal: Principal, at: Home, window: Window | None
    ) -> Wanted:
        refuse_own(parameters)
        if "template" in parameters:
            message = "belongs to single reports: name the sections of a custom one"
            raise ParametersError(message, field="template")
        when = {ZONE_NAMES[0]: at.time_zone}
        if window is not None:
            when["start_date"] = from_micros(window.start_us).isoformat()
            when["end_date"] = from_micros(window.end_us).isoformat()
        return wanted_within({**parameters, **when}, principal, at)[0]
