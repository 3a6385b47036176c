"""Files of what calls cost: CSV, JSON, JSON lines, Excel, Parquet, Arrow, FOCUS."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

from llm_cost_ops.client.caller import Caller, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.files import replacing, restart
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow, Sleep
from llm_cost_ops.client.resources.lists import listed, scoped
from llm_cost_ops.client.resources.schedules import AsyncSchedules, Schedules, SchedulingCalls
from llm_cost_ops.client.rows import Row
from llm_cost_ops.exceptions import APIError, NetworkError, TimeoutError

_PATH = "/export"
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.2, 2.0
WAIT_SECONDS = 600.0
UNFINISHED = ("pending", "processing")


class Export(Row):
    """An ordered export: `.id`, `.status`, `.progress`, `.sha256`, `.totals`, .. as they were when
    it was asked for. On the asynchronous client its methods are to be awaited."""

    _calls: Any = None

    def download(self, *, timeout: float = WAIT_SECONDS) -> Any:
        """The bytes of the file, once it is made, `timeout` seconds at most."""
        return self._calls.download(self["id"], timeout=timeout)

    def save(self, path: str | os.PathLike[str], *, timeout: float = WAIT_SECONDS) -> Any:
        """Write the file without holding it in memory, and where it is."""
        return self._calls.save(self["id"], path, timeout=timeout)

    def wait(self, *, timeout: float = WAIT_SECONDS) -> Any:
        """The export once it is made."""
        return self._calls.wait(self["id"], timeout=timeout)

    def cancel(self) -> Any:
        """Cancel it, or remove its file."""
        return self._calls.delete(self["id"])

    def __repr__(self) -> str:
        return f"<Export {self['id']} {self['type']}.{self['format']}, {self['status']}>"


class Pieces:
    """A file that comes in pieces: what was lost is asked for behind what has come."""

    def __init__(self, file: IO[bytes], sha256: str) -> None:
        self._file = file
        self._sha256 = sha256
        self._digest = hashlib.sha256()
        self.size = 0

    def restart(self) -> None:
        """The whole file begins."""
        if not restart(self._file, self.size):
            raise NetworkError("the connection was lost in the middle of it", retryable=False)
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes, /) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    def lacking(self) -> Mapping[str, str]:
        if self.size == 0:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": f'"{self._sha256}"'}

    def check(self) -> None:
        """Raises NetworkError for a file that is not the one that was made."""
        if self._digest.hexdigest() != self._sha256:
            raise NetworkError("the file that came is not the one that was made", retryable=False)


class ExportCalls:
    _caller: Caller

    @endpoint
    def create(
        self,
        *,
        format: str = "csv",
        type: str | None = None,
        include_fields: Sequence[str] | None = None,
        **query: Any,
    ) -> Flow[Export]:
        """Order a file of calls (`type` costs or usage), of groups of them (aggregates, also where
        `group_by` is named and no type), of the audit log, prices or budgets. The server makes it:
        `.download()` waits for it and gives its bytes, `.save(path)` writes them; a download that
        breaks goes on where it was.

        `format`: csv, json, jsonl, xlsx (excel), parquet, arrow or focus. Further arguments are
        those of `costs.list` and `costs.aggregate` (`start_date`, `end_date`, `provider`,
        `group_by` ..), `billing_period` (a month as its books have it), `compression` (gzip, zstd),
        `timezone`; of CSV `delimiter`, `decimal`, `bom`, `totals`.
        Raises ValidationError naming the argument at fault.
        """
        asked = scoped(self._caller, query)
        metadata = asked.pop("metadata", None)
        if isinstance(metadata, Mapping):
            labels = cast("Mapping[str, Any]", metadata)
            asked |= {f"metadata.{name}": value for name, value in labels.items()}
        body = {**asked, "format": format, "include_fields": include_fields}
        body |= {} if type is None else {"type": type}
        return self._export((yield from self._caller.write("POST", _PATH, body)))

    @endpoint
    def list(self, **query: Any) -> Flow[Page[Export]]:
        """Exports, the newest first; by `status`."""
        page = yield from listed(self._caller, _PATH, scoped(self._caller, query), Export)
        for each in page:
            each._calls = self  # pyright: ignore[reportPrivateUsage]
        return page

    @endpoint
    def get(self, export_id: str, /) -> Flow[Export]:
        """One export and how far it is. Raises NotFoundError."""
        return (yield from self._read(export_id))

    @endpoint
    def wait(self, export_id: str, /, *, timeout: float = WAIT_SECONDS) -> Flow[Export]:
        """The export once it is made. Raises APIError when it failed or was cancelled, TimeoutError
        when it is not made after `timeout` seconds."""
        return (yield from self._made(export_id, timeout))

    @endpoint
    def download(self, export_id: str, /, *, timeout: float = WAIT_SECONDS) -> Flow[bytes]:
        """The bytes of the file, once it is made."""
        import io

        made = yield from self._made(export_id, timeout)
        file = io.BytesIO()
        yield from self._fetch(made, file)
        return file.getvalue()

    @endpoint
    def save(
        self,
        export_id: str,
        path: str | os.PathLike[str],
        /,
        *,
        timeout: float = WAIT_SECONDS,
    ) -> Flow[Path]:
        """Write the file, once it is made, without holding it in memory, and where it is. What
        stood there is replaced when the new one is whole; a pipe or device is written to."""
        made = yield from self._made(export_id, timeout)
        place = Path(path)
        with replacing(place) as file:
            yield from self._fetch(made, file)
        return place

    @endpoint
    def delete(self, export_id: str, /) -> Flow[None]:
        """Cancel an export that is not made yet, or remove the file of one that is."""
        yield from self._caller.write("DELETE", f"{_PATH}/{segment(export_id)}")

    cancel = delete

    def _read(self, export_id: str) -> Flow[Export]:
        path = f"{_PATH}/{segment(export_id)}"
        return self._export((yield from self._caller.get(path, fresh=True)))

    def _export(self, answer: Any) -> Export:
        made = one(answer, Export)
        made._calls = self  # pyright: ignore[reportPrivateUsage]
        return made

    def _made(self, export_id: str, timeout: float) -> Flow[Export]:
        wait, waited = _FIRST_WAIT_SECONDS, 0.0
        while True:
            found = yield from self._read(export_id)
            if found["status"] == "completed":
                return found
            if found["status"] not in UNFINISHED:
                reason = f": {found['reason']}" if found.get("reason") else ""
                raise APIError(
                    f"export {export_id} is {found['status']}{reason}",
                    status_code=410 if found["status"] == "expired" else 409,
                )
            if waited >= timeout:
                raise TimeoutError(
                    f"export {export_id} is {found['status']} after {timeout:g} s: does a worker "
                    "run (`cost-ops worker`)?"
                )
            pause = min(wait, timeout - waited)
            yield Sleep(pause)
            waited += pause
            wait = min(wait * 1.5, _LONGEST_WAIT_SECONDS)

    def _fetch(self, made: Export, file: IO[bytes]) -> Flow[None]:
        pieces = Pieces(file, str(made["sha256"]))
        yield from self._caller.rest(f"{_PATH}/{segment(made['id'])}/download", pieces)
        pieces.check()


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
