"""What clients were told, compared with what the ledger holds."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.money import to_e10


@dataclass(frozen=True)
class Answer:
    """One answer of the server; the time is how long it took."""

    status: int
    seconds: float
    retry_after: str | None


@dataclass
class History:
    """Costs in units of 1e-10 by event id. Thread-safe."""

    attempted: dict[str, int] = field(default_factory=dict[str, int])
    acknowledged: set[str] = field(default_factory=set[str])
    refused: set[str] = field(default_factory=set[str])
    misquoted: set[str] = field(default_factory=set[str])
    answers: list[Answer] = field(default_factory=list[Answer])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def attempt(self, event_id: str, cost_e10: int) -> None:
        with self._lock:
            self.attempted[event_id] = cost_e10

    def answered(self, answer: Answer) -> None:
        with self._lock:
            self.answers.append(answer)

    def acknowledge(self, results: Iterable[Mapping[str, Any]]) -> None:
        """Single rows or results of a batch, as the server answered them."""
        with self._lock:
            for result in results:
                event_id = result["event_id"]
                self.acknowledged.add(event_id)
                if to_e10(Decimal(result["total_cost"])) != self.attempted[event_id]:
                    self.misquoted.add(event_id)

    def refuse(self, event_ids: Iterable[str]) -> None:
        with self._lock:
            self.refused.update(event_ids)

    def unknown(self) -> list[str]:
        """Sent, and never answered: each may or may not have happened."""
        return sorted(self.attempted.keys() - self.acknowledged - self.refused)

    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in self.answers)


@dataclass(frozen=True)
class Findings:
    """Event ids by what is wrong with them."""

    lost: list[str]
    duplicate: list[str]
    phantom: list[str]
    wrong_cost: list[str]
    misquoted: list[str]
    refused_but_present: list[str]

    @property
    def none(self) -> bool:
        return not any(vars(self).values())

    def __str__(self) -> str:
        return ", ".join(f"{name} {len(ids)}" for name, ids in vars(self).items())


def compare(history: History, ledger: list[tuple[str, int]]) -> Findings:
    """`ledger` has one (event id, cost) per row that is really there."""
    times = Counter(event_id for event_id, _ in ledger)
    present = dict(ledger)
    return Findings(
        lost=sorted(history.acknowledged - present.keys()),
        duplicate=sorted(event_id for event_id, count in times.items() if count > 1),
        phantom=sorted(present.keys() - history.attempted.keys()),
        wrong_cost=sorted(
            event_id
            for event_id, cost in present.items()
            if event_id in history.attempted and history.attempted[event_id] != cost
        ),
        misquoted=sorted(history.misquoted),
        refused_but_present=sorted((history.refused - history.acknowledged) & present.keys()),
    )
