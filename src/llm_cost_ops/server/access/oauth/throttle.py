"""Who fails at the token endpoint again and again has to wait; nobody else does.

Counted by client and address together, so that a stranger cannot lock a client out, and by address,
so that trying many clients does not help. Secrets have 256 bits: this is against load, not luck.
"""

from __future__ import annotations

from collections.abc import Callable

FAILURES = 10
OF_ADDRESS = 50
SECONDS = 60.0
MAX_KNOWN = 10_000


class Throttle:
    """Failures of the last minute, in one process."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._failed: dict[tuple[str, str], list[float]] = {}

    def wait_seconds(self, client_id: str, address: str) -> int:
        """How long this client at this address has to wait; 0 for not at all."""
        return max(
            self._wait((client_id, address), FAILURES), self._wait(("", address), OF_ADDRESS)
        )

    def failed(self, client_id: str, address: str) -> None:
        now_s = self._monotonic()
        for who in ((client_id, address), ("", address)):
            times = self._failed.pop(who, [])
            self._failed[who] = [*times[-OF_ADDRESS:], now_s]
        while len(self._failed) > MAX_KNOWN:
            del self._failed[next(iter(self._failed))]

    def _wait(self, who: tuple[str, str], allowed: int) -> int:
        now_s = self._monotonic()
        times = [at for at in self._failed.get(who, ()) if at > now_s - SECONDS]
        if len(times) < allowed:
            return 0
        return max(1, round(times[-allowed] + SECONDS - now_s))
