"""Who knocks."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who knocks: `device` is the secret in the cookie of a browser that signed in before."""

    address: str | None
    agent: str | None = None
    device: str | None = field(default=None, repr=False)
    request_id: str | None = None
