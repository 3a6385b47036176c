"""Troubles of the database that pass."""

from __future__ import annotations

from typing import Any

import pytest

from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason, SerializationRetry

TROUBLES = [DatabaseUnavailable(Reason.TIMEOUT), SerializationRetry()]


def fails_once(
    monkeypatch: pytest.MonkeyPatch, where: object, name: str, trouble: Exception
) -> None:
    """Let a function raise at its first call."""
    real, raised = getattr(where, name), list[bool]()

    def called(*arguments: Any, **options: Any) -> Any:
        if not raised:
            raised.append(True)
            raise trouble
        return real(*arguments, **options)

    monkeypatch.setattr(where, name, called)
