"""Files of what calls cost: CSV, JSON, JSON lines, Excel, Parquet, Arrow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from llm_cost_ops.client.caller import Caller
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.lists import scoped
from llm_cost_ops.client.resources.schedules import AsyncSchedules, Schedules, SchedulingCalls

_PATH = "/costs/export"


class Export:
    """A file that was made. `format` and `type` are what was asked for, `content` its bytes."""

    def __init__(self, format: str, type: str, content: bytes) -> None:
        self.format = format
        self.type = type
        self.content = content

    def download(self) -> bytes:
        """The bytes of the file."""
        return self.content

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the file, and where it is."""
        place = Path(path)
        place.write_bytes(self.content)
        return place

    def __repr__(self) -> str:
        return f"<Export {self.type}.{self.format}, {len(self.content)} bytes>"


class ExportCalls:
    _caller: Caller

    @endpoint
    def create(
        self,
        *,
        format: str = "csv",
        type: str = "costs",
        include_fields: Sequence[str] | None = None,
        **query: Any,
    ) -> Flow[Export]:
        """A file of calls (`type` costs or usage) or of groups of them (aggregates), once it is
        whole: `.download()` gives its bytes, `.save(path)` writes them.

        `format`: csv, json, jsonl, xlsx (excel), parquet or arrow. Further arguments are those of
        `costs.list` and `costs.aggregate` (`start_date`, `end_date`, `provider`, `group_by` ..),
        `billing_period` (a month as its books have it), `compression` (gzip, zstd), `timezone`; of
        CSV `delimiter`, `decimal`, `bom`, `totals`.
        Raises ValidationError naming the argument at fault.
        """
        params = {**scoped(self._caller, query), "format": format, "type": type}
        if include_fields is not None:
            params["include_fields"] = list(include_fields)
        return Export(format, type, (yield from self._caller.file(_PATH, params)))


class Exports(ExportCalls, SchedulingCalls, SyncResource):
    """`client.export`, also `client.exports`"""

    @cached_property
    def schedules(self) -> Schedules:
        return Schedules(self._caller, self._driver)


class AsyncExports(ExportCalls, SchedulingCalls, AsyncResource):
    """`client.export` of the asynchronous client"""

    @cached_property
    def schedules(self) -> AsyncSchedules:
        return AsyncSchedules(self._caller, self._driver)
