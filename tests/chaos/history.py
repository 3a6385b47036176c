"""What clients were told, compared with what the ledger holds."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class History:
    """Costs in units of 1e-10 by event id. Thread-safe."""

    attempted: dict[str, int] = field(default_factory=dict[str, int])
    acknowledged: set[str] = field(default_factory=set[str])
    refused: set[str] = field(default_factory=set[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def attempt(self, event_id: str, cost_e10: int) -> None:
        with self._lock:
            self.attempted[event_id] = cost_e10

    def acknowledge(self, event_ids: list[str]) -> None:
        with self._lock:
            self.acknowledged.update(event_ids)

    def refuse(self, event_ids: list[str]) -> None:
        with self._lock:
            self.refused.update(event_ids)

    def unknown(self) -> list[str]:
        """Sent, and never answered: each may or may not have happened."""
        return sorted(self.attempted.keys() - self.acknowledged - self.refused)


@dataclass(frozen=True)
class Findings:
    """Event ids by what is wrong with them."""

    lost: list[str]
    duplicate: list[str]
    phantom: list[str]
    wrong_cost: list[str]
    refused_but_present: list[str]

    @property
    def none(self) -> bool:
        return not any(vars(self).values())


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
        refused_but_present=sorted((history.refused - history.acknowledged) & present.keys()),
    )
