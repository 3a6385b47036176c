"""Sending a file's records: in batches, two in flight, each file its own import.

Records carry event ids, so a batch that is sent again (because its answer was lost, or because the
whole import was interrupted and started anew) stores nothing twice.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, cast

from llm_cost_ops.cli.connect import Api, path_of
from llm_cost_ops.cli.handover import Handover, Helpers
from llm_cost_ops.cli.tally import Tally
from llm_cost_ops.client import wire
from llm_cost_ops.core import jsontext
from llm_cost_ops.exceptions import APIError
from llm_cost_ops.importers import GROWING, LINE, Record, pop_signals

IN_FLIGHT = 2
MAX_BATCH = 10_000
MAX_BYTES = 8_000_000
"""Below the default limit of a request body, because that counts the envelope too."""
USAGE, COSTS = "/usage/batch", "/costs/bulk"
_SPLIT = frozenset({400, 413, 422})
"""Refusals of a batch as a whole that may be one record's fault."""
_ENVELOPE = (b'{"records":[', b"]}")


class AtomicRefusal(Exception):
    """A record was refused and the file is to be imported whole or not at all."""


@dataclass(frozen=True, slots=True)
class SendOptions:
    """`atomic`: all of a file or nothing of it. `strict`: a call without a price is refused."""

    batch_size: int
    atomic: bool = False
    strict: bool = False


@dataclass(slots=True)
class Batch:
    """Records for one door, encoded, and where each came from."""

    door: str
    growing: bool
    parts: list[bytes] = field(default_factory=list[bytes])
    origins: list[tuple[int | None, str]] = field(default_factory=list[tuple[int | None, str]])
    size: int = 0

    def add(self, part: bytes, line: int | None, event_id: str) -> None:
        self.parts.append(part)
        self.origins.append((line, event_id))
        self.size += len(part) + 1

    @property
    def body(self) -> bytes:
        return b",".join(self.parts).join(_ENVELOPE)

    def halves(self) -> tuple[Batch, Batch]:
        middle = len(self.parts) // 2
        first = Batch(self.door, self.growing, self.parts[:middle], self.origins[:middle])
        return first, Batch(self.door, self.growing, self.parts[middle:], self.origins[middle:])


Outcome = tuple[Batch, Mapping[str, Any] | APIError]


class Sending:
    """One file on its way. Use as a context manager: leaving it waits for what is in flight."""

    def __init__(self, api: Api, tally: Tally, name: str, options: SendOptions) -> None:
        self._api = api
        self._tally = tally
        self._name = name
        self._options = options
        self._open: dict[tuple[str, bool], Batch] = {}
        self._flying: deque[Handover[list[Outcome]]] = deque()
        self._helpers = Helpers(IN_FLIGHT, "ingest")
        self._change: Handover[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._helpers.end()
        for flying in self._flying:
            flying.wait()
        if self._change is not None:
            self._change.wait()

    def add(self, record: Record) -> None:
        """Take a record; a full batch is sent. Raises AtomicRefusal and the SDK's errors."""
        line = cast("int | None", record.pop(LINE, None))
        growing = GROWING in pop_signals(record)
        event_id = str(record.get("event_id"))
        try:
            part = _encoded(record)
        except ValueError as error:
            self._refuse(str(error), line, event_id)
            return
        key = (COSTS if "cost" in record else USAGE, growing)
        batch = self._open.get(key)
        if batch is not None and batch.size + len(part) > MAX_BYTES:
            self._send(self._open.pop(key))
            batch = None
        if batch is None:
            batch = self._open[key] = Batch(*key)
        batch.add(part, line, event_id)
        if len(batch.parts) >= self._options.batch_size:
            self._send(self._open.pop(key))

    def finish(self) -> None:
        """Send what is left, wait for all answers, and close the import."""
        for key in list(self._open):
            self._send(self._open.pop(key))
        while self._flying:
            self._settle_first()
        if self._tally.import_id is not None:
            self._ask(path_of("imports", self._tally.import_id, "complete"))

    def give_up(self) -> None:
        """Take back what an atomic file has stored so far."""
        for flying in self._flying:
            flying.wait()
        if self._tally.import_id is not None:
            self._ask(path_of("imports", self._tally.import_id, "undo"))
        self._tally.created = self._tally.unpriced = self._tally.partially_priced = 0
        self._tally.undone = True

    def _send(self, batch: Batch) -> None:
        if self._tally.import_id is None:
            body = {"format": self._tally.format, "name": self._name[-255:]}
            self._tally.import_id = self._ask("/imports", body)["id"]
        # A growing log may tell of the same call in two batches: the later one must come later.
        limit = 1 if batch.growing else IN_FLIGHT
        while len(self._flying) >= limit:
            self._settle_first()
        self._flying.append(self._helpers.ask(lambda: self._post(batch)))

    def _ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        self._change = self._helpers.ask(lambda: self._api.change("POST", path, body))
        return self._change.take()

    def _post(self, batch: Batch) -> list[Outcome]:
        params: dict[str, Any] = {"import_id": self._tally.import_id}
        flags = {
            "correct": batch.growing,
            "atomic": self._options.atomic,
            "strict": self._options.strict and batch.door == USAGE,
        }
        params |= {name: True for name, given in flags.items() if given}
        try:
            return [(batch, self._api.repeatable(batch.door, batch.body, params))]
        except APIError as error:
            if error.status_code not in _SPLIT:
                raise
            if len(batch.parts) == 1 or (self._options.atomic and error.status_code == 422):
                return [(batch, error)]
        first, second = batch.halves()
        return [*self._post(first), *self._post(second)]

    def _settle_first(self) -> None:
        # It leaves the queue when its answer is there, so that leaving in between waits for it.
        answered = self._flying[0]
        answered.wait()
        self._flying.popleft()
        self._settle(answered)

    def _settle(self, flying: Handover[list[Outcome]]) -> None:
        for batch, answer in flying.take():
            if isinstance(answer, APIError):
                self._refuse_batch(batch, answer)
                continue
            self._tally.count(answer)
            if answer["failed"]:
                for result in answer["results"]:
                    if "error" in result:
                        self._refuse_item(batch, result["index"], result["error"])

    def _refuse_batch(self, batch: Batch, error: APIError) -> None:
        body: Any = {} if error.response is None else error.response.json()
        items: list[Mapping[str, Any]] = body.get("error", {}).get("errors") or []
        for item in items:
            self._describe(batch, int(item["index"]), item)
        if not items:
            fields = cast("Mapping[str, str]", getattr(error, "field_errors", {}))
            fault = {"message": error.message, "field_errors": fields}
            self._describe(batch, 0, fault)
        if self._options.atomic:
            raise AtomicRefusal

    def _refuse_item(self, batch: Batch, index: int, error: Mapping[str, Any]) -> None:
        self._describe(batch, index, error)
        if self._options.atomic:
            raise AtomicRefusal

    def _describe(self, batch: Batch, index: int, error: Mapping[str, Any]) -> None:
        line, event_id = batch.origins[index]
        fields = cast("Mapping[str, str]", error.get("field_errors") or {})
        if fields:
            name, message = next(iter(fields.items()))
            self._tally.fail(message, line=line, name=name, event=event_id)
        else:
            self._tally.fail(str(error["message"]), line=line, event=event_id)

    def _refuse(self, message: str, line: int | None, event_id: str) -> None:
        self._tally.fail(message, line=line, event=event_id)
        if self._options.atomic:
            raise AtomicRefusal


def _encoded(record: Record) -> bytes:
    """The record as JSON; by the C encoder where it holds no Decimal, which is nearly always. A
    null in its metadata is a value: to the SDK's encoder it would be a field that is not given.

    Raises ValueError for what JSON cannot carry.
    """
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except TypeError:
        try:
            text = jsontext.dumps(record)
        except TypeError:  # a float beside a Decimal, or an instant of a Parquet file
            return wire.encode(record)
    return text.encode()
