"""Clients that keep sending calls, remember what they were told and retry what they were not."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import Any

import requests

from llm_cost_ops.core.money import E10
from tests.chaos.history import History

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


@dataclass
class Client:
    """One thread with its own seeded stream of calls."""

    base_url: str
    headers: dict[str, str]
    name: str
    seed: int
    history: History
    stop: threading.Event

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._unanswered: list[list[dict[str, Any]]] = []
        self._number = 0

    def run(self) -> None:
        """Send until told to stop, repeating first what was not answered."""
        with requests.Session() as session:
            session.headers.update(self.headers)
            while not self.stop.is_set():
                batch = self._unanswered.pop() if self._unanswered else self._new_batch()
                self.send(session, batch)

    def settle(self, session: requests.Session) -> None:
        """Repeat what was never answered until it is."""
        while self._unanswered:
            self.send(session, self._unanswered.pop())

    def send(self, session: requests.Session, batch: list[dict[str, Any]]) -> None:
        ids = [call["event_id"] for call in batch]
        try:
            if len(batch) == 1:
                answer = session.post(
                    f"{self.base_url}/api/v1/usage", json=batch[0], timeout=CALL_TIMEOUT_S
                )
            else:
                atomic = "?atomic=true" if len(batch) % 2 else ""
                answer = session.post(
                    f"{self.base_url}/api/v1/usage/batch{atomic}",
                    json={"records": batch},
                    timeout=CALL_TIMEOUT_S,
                )
        except requests.RequestException:
            self._unanswered.append(batch)
            self.stop.wait(0.02)
            return
        if answer.status_code in (200, 201):
            self.history.acknowledge(ids)
        elif answer.status_code >= 500:
            self._unanswered.append(batch)
            self.stop.wait(0.02)
        else:
            self.history.refuse(ids)

    def _new_batch(self) -> list[dict[str, Any]]:
        size = self._random.choice((1, 1, 1, 2, 7, 40))
        return [self._new_call() for _ in range(size)]

    def _new_call(self) -> dict[str, Any]:
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
            "timestamp": f"2026-11-{self._random.randint(1, 19):02d}T10:00:00Z",
            "project_id": f"p{self._random.randint(0, 3)}",
        }
