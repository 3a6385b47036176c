"""Reports: made on the server, drawn as PDF, Excel, HTML or Markdown."""

from __future__ import annotations

import os
import sys
from base64 import b64encode
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from llm_cost_ops.client.caller import Caller, many, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.files import replacing
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow, Sleep
from llm_cost_ops.client.resources.lists import listed, scoped
from llm_cost_ops.client.resources.schedules import ReportSchedulingCalls
from llm_cost_ops.client.rows import Row
from llm_cost_ops.exceptions import CostOpsError, TimeoutError

if sys.platform == "win32":
    from pathlib import WindowsPath as _SystemPath
else:
    from pathlib import PosixPath as _SystemPath

_PATH = "/reports"
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.2, 2.0
WAIT_SECONDS = 600.0


class Content(bytes):
    """The bytes of a file. They are here; who writes `await` before them, as before those of an
    export of the asynchronous client, gets them too."""

    def __await__(self) -> Generator[Any, None, Content]:
        yield from ()
        return self


class Place(_SystemPath):
    """Where a file was written; may be awaited, as `Content`."""

    def __await__(self) -> Generator[Any, None, Place]:
        yield from ()
        return self


class Report(Row):
    """A report: `.id`, `.type`, `.title`, `.status` (pending, completed, failed, cancelled).

    One that `generate` waited for has its file: `.download()` gives the bytes, `.save(path)` writes
    them. On the asynchronous client both may be awaited, and need not be.
    """

    __slots__ = ("_content",)
    _content: Content | None

    id: str
    type: str
    title: str
    status: str
    format: str
    error: str | None
    created_at: str
    finished_at: str | None
    expires_at: str

    def download(self) -> Content:
        """The bytes of the file. Raises CostOpsError for one that was not waited for: give its id
        to `client.reports.download`."""
        content = getattr(self, "_content", None)
        if content is None:
            raise CostOpsError(f"the file is not here: client.reports.download({self.id!r})")
        return content

    def save(self, path: str | os.PathLike[str]) -> Place:
        """Write the file, and where it is; what stood there is replaced when it is whole. Raises
        CostOpsError as `download`."""
        content, place = self.download(), Place(path)
        with replacing(place) as file:
            file.write(content)
        return place

    def holding(self, content: bytes) -> Report:
        """The same report with its file."""
        self._content = Content(content)
        return self


def asked_for(caller: Caller, body: Mapping[str, Any]) -> Flow[Report]:
    """A report that is asked for; with `wait` once it is made, also where that takes longer than a
    request may: a repetition is told that the first one is at it. Raises TimeoutError."""
    found = one((yield from caller.write("POST", f"{_PATH}/generate", body)), Report)
    pause, waited = _FIRST_WAIT_SECONDS, 0.0
    while body.get("wait") and found.status == "pending":
        if waited >= WAIT_SECONDS:
            raise TimeoutError(f"report {found.id} is not made after {WAIT_SECONDS:g} s")
        yield Sleep(pause)
        waited += pause
        pause = min(pause * 1.5, _LONGEST_WAIT_SECONDS)
        path = f"{_PATH}/{segment(found.id)}"
        found = one((yield from caller.get(path, fresh=True)), Report)
    return found


class ReportCalls:
    _caller: Caller

    @endpoint
    def generate(
        self,
        type: str = "cost_summary",
        *,
        format: str = "pdf",
        include_charts: bool = True,
        group_by: str | Sequence[str] | None = None,
        wait: bool = True,
        **fields: Any,
    ) -> Flow[Report]:
        """A report, once it is made: `.download()` gives the bytes of its file.

        `type`: cost_summary, usage_analysis, forecast, budget, chargeback, executive, optimization,
        audit or custom; `format`: pdf, xlsx (excel), html, markdown. Further fields are
        `start_date`, `end_date` or `period`, `timezone`, `currency` with `rates`, `compare`,
        `allocation`, `sections` or `template`, and filters. With `wait=False` a worker makes it.
        Raises ValidationError naming the field at fault, CostOpsError with the reason when it
        cannot be made, TimeoutError when it is not made after ten minutes.
        """
        body = {
            **scoped(self._caller, fields),
            "type": type,
            "format": format,
            "include_charts": include_charts,
            "wait": wait,
        }
        if group_by is not None:
            body["group_by"] = [group_by] if isinstance(group_by, str) else list(group_by)
        made = yield from asked_for(self._caller, body)
        if not wait:
            return made
        if made.status != "completed":
            raise CostOpsError(made.error or f"the report is {made.status}")
        return made.holding((yield from self._file(made.id, format)))

    @endpoint
    def list(self, **query: Any) -> Flow[Page[Report]]:
        """Reports, the newest first; by `type` and `status`."""
        return listed(self._caller, _PATH, scoped(self._caller, query), Report)

    @endpoint
    def get(self, report_id: str, /) -> Flow[Report]:
        """One report and where it stands. Raises NotFoundError."""
        return one((yield from self._caller.get(f"{_PATH}/{segment(report_id)}")), Report)

    @endpoint
    def download(self, report_id: str, format: str | None = None) -> Flow[bytes]:
        """The file of a report, in its own format or another one. Raises ConflictError while it is
        not made."""
        return self._file(report_id, format)

    @endpoint
    def cancel(self, report_id: str, /) -> Flow[Report]:
        """Take back a report that is not made yet. Raises ConflictError."""
        path = f"{_PATH}/{segment(report_id)}/cancel"
        return one((yield from self._caller.write("POST", path)), Report)

    @endpoint
    def delete(self, report_id: str, /) -> Flow[None]:
        """Remove a report with its content. Raises NotFoundError."""
        yield from self._caller.write("DELETE", f"{_PATH}/{segment(report_id)}")

    @endpoint
    def create_template(self, name: str, sections: Sequence[str | Mapping[str, Any]]) -> Flow[Row]:
        """Keep sections of custom reports under a name, which `generate` takes as `template`."""
        body = scoped(self._caller, {"name": name, "sections": [*sections]})
        return one((yield from self._caller.write("POST", f"{_PATH}/templates", body)), Row)

    @endpoint
    def list_templates(self) -> Flow[Page[Row]]:
        """Kept sections, the newest first."""
        return many((yield from self._caller.get(f"{_PATH}/templates")), Row)

    @endpoint
    def delete_template(self, template_id: str, /) -> Flow[None]:
        """Remove kept sections. Raises NotFoundError."""
        yield from self._caller.write("DELETE", f"{_PATH}/templates/{segment(template_id)}")

    @endpoint
    def style(self) -> Flow[Row]:
        """The looks of reports: `.primary_color`, `.accent_color`, `.logo` (PNG in base64)."""
        return one((yield from self._caller.get(f"{_PATH}/style")), Row)

    @endpoint
    def set_style(
        self,
        *,
        primary_color: str | None = None,
        accent_color: str | None = None,
        logo: bytes | None = None,
    ) -> Flow[Row]:
        """Replace the looks of reports made from now on: colours as `#rrggbb`, and the bytes of a
        PNG or JPEG file. Raises ValidationError."""
        body = {
            **scoped(self._caller, {}),
            "primary_color": primary_color,
            "accent_color": accent_color,
            "logo": None if logo is None else b64encode(logo).decode("ascii"),
        }
        return one((yield from self._caller.write("PUT", f"{_PATH}/style", body)), Row)

    @endpoint
    def delete_style(self) -> Flow[None]:
        """Make reports plain again."""
        yield from self._caller.write("DELETE", f"{_PATH}/style")

    def _file(self, report_id: str, format: str | None) -> Flow[bytes]:
        path = f"{_PATH}/{segment(report_id)}/download"
        return self._caller.file(path, None if format is None else {"format": format})


class Reports(ReportCalls, ReportSchedulingCalls, SyncResource):
    """`client.reports`"""


class AsyncReports(ReportCalls, ReportSchedulingCalls, AsyncResource):
    """`client.reports` of the asynchronous client"""
