"""Clients that keep sending calls, remember what they were told and retry what they were not."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self

import requests

from llm_cost_ops.core.money import E10
from tests.chaos.history import Answer, History
from tests.chaos.scale import patient
from tests.support.server_process import ServerProcess

MODEL = "chaos-1"
INPUT_PER_MILLION = 3
OUTPUT_PER_MILLION = 15
PRICE = {
    "provider": "custom",
    "model": MODEL,
    "effective_date": "2020-01-01",
    "prices": {
        "input_tokens": {"price": INPUT_PER_MILLION, "per": 1_000_000},
        "output_tokens": {"price": OUTPUT_PER_MILLION, "per": 1_000_000},
    },
}
CALL_TIMEOUT_S = 15.0
PAUSE_S = 0.02
"""Before what failed is sent again."""


def set_price(server: ServerProcess) -> None:
    server.post("/api/v1/pricing", json=PRICE).raise_for_status()


@dataclass
class Caller:
    """Makes calls from a seed and knows what each costs."""

    name: str
    seed: int
    history: History

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._number = 0

    def batch(self, size: int | None = None) -> list[dict[str, Any]]:
        size = size or self._random.choice((1, 1, 1, 2, 7, 40))
        return [self._call() for _ in range(size)]

    def _call(self) -> dict[str, Any]:
        self._number += 1
        tokens_in, tokens_out = self._random.randint(1, 9_999), self._random.randint(0, 999)
        event_id = f"{self.name}-{self._number}"
        cost = tokens_in * INPUT_PER_MILLION + tokens_out * OUTPUT_PER_MILLION
        self.history.attempt(event_id, cost * E10 // 1_000_000)
        return {
            "event_id": event_id,
            "provider": "custom",
            "model": MODEL,
            "prompt_tokens": tokens_in,
            "completion_tokens": tokens_out,
            "timestamp": f"2025-11-{self._random.randint(1, 19):02d}T10:00:00Z",
            "project_id": f"p{self._random.randint(0, 3)}",
        }


@dataclass
class Client:
    """One thread. It goes to the next of its servers whenever one does not answer."""

    servers: Sequence[ServerProcess]
    caller: Caller
    stop: threading.Event
    patience_s: float = CALL_TIMEOUT_S
    crashed: BaseException | None = None
    _unanswered: list[list[dict[str, Any]]] = field(default_factory=list)
    _turn: int = 0

    @property
    def history(self) -> History:
        return self.caller.history

    def run(self) -> None:
        """Send until told to stop, repeating first what was not answered."""
        try:
            with self._session() as session:
                while not self.stop.is_set():
                    batch = self._unanswered.pop() if self._unanswered else self.caller.batch()
                    self.send(session, batch)
        except BaseException as error:
            self.crashed = error

    def settle(self, within_s: float = patient(30)) -> None:
        """Repeat what was never answered until it is."""
        until = time.monotonic() + within_s
        with self._session() as session:
            while self._unanswered:
                assert time.monotonic() < until, (self._unanswered, self.history.statuses())
                self.send(session, self._unanswered.pop())

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.headers.update(self.servers[0].tenant.headers)
        return session

    def send(self, session: requests.Session, batch: list[dict[str, Any]]) -> None:
        url = self.servers[self._turn % len(self.servers)].base_url + "/api/v1/usage"
        began = time.monotonic()
        try:
            if len(batch) == 1:
                answer = session.post(url, json=batch[0], timeout=self.patience_s)
            else:
                url += "/batch?atomic=true" if len(batch) % 2 else "/batch"
                answer = session.post(url, json={"records": batch}, timeout=self.patience_s)
        except requests.RequestException:
            self._again(batch)
            return
        seconds = time.monotonic() - began
        retry_after = answer.headers.get("Retry-After")
        self.history.answered(Answer(answer.status_code, seconds, retry_after))
        if answer.status_code in (200, 201):
            said = answer.json(parse_float=Decimal, parse_int=Decimal)
            results = [said] if len(batch) == 1 else said["results"]
            assert [result["event_id"] for result in results] == [c["event_id"] for c in batch]
            self.history.acknowledge(results)
        elif answer.status_code >= 500:
            self._again(batch)
        else:
            self.history.refuse(call["event_id"] for call in batch)

    def _again(self, batch: list[dict[str, Any]]) -> None:
        self._unanswered.append(batch)
        self._turn += 1
        self.stop.wait(PAUSE_S)


class Crowd:
    """Many clients at once, until the block ends; then everything unanswered is settled."""

    def __init__(
        self,
        servers: Sequence[ServerProcess],
        *,
        clients: int = 8,
        seed: int = 1,
        name: str = "c",
        history: History | None = None,
    ) -> None:
        self.history = history or History()
        self._stop = threading.Event()
        chance = random.Random(seed)
        self._clients = [
            Client(servers, Caller(f"{name}{n}", chance.randrange(10**9), self.history), self._stop)
            for n in range(clients)
        ]
        self._threads = [threading.Thread(target=client.run) for client in self._clients]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if kind is None:
            for client in self._clients:
                if client.crashed is not None:
                    raise client.crashed
                client.settle()

    def acknowledged_more(self, count: int, within_s: float = patient(20)) -> None:
        """Wait until so many further calls have been acknowledged."""
        wanted = len(self.history.acknowledged) + count
        until = time.monotonic() + within_s
        while len(self.history.acknowledged) < wanted:
            assert time.monotonic() < until, f"{len(self.history.acknowledged)} of {wanted}"
            time.sleep(0.01)
