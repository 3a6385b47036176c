"""An HTTP answer as both drivers hand it over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from llm_cost_ops.client import wire


class Response:
    """Status, headers (names in lower case) and body of an answer."""

    __slots__ = ("content", "headers", "status_code")

    def __init__(self, status_code: int, headers: Mapping[str, str], content: bytes) -> None:
        self.status_code = status_code
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.content = content

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The decoded body, fractional numbers as exact Amounts. Raises ValueError."""
        return wire.decode(self.content)

    def retry_after(self, now: datetime) -> float | None:
        """The seconds that Retry-After asks for, as seconds or an HTTP date; None without one."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.replace(".", "", 1).isdigit():
            return float(text)
        from email.utils import parsedate_to_datetime

        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())

    def __repr__(self) -> str:
        return f"<Response [{self.status_code}]>"
