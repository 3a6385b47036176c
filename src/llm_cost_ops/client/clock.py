"""The only place where the SDK reads a clock; callers and tests may give their own."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.now(UTC)


monotonic = time.monotonic
