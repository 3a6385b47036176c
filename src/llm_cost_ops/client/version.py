"""The installed version, read when asked for: reading it at import would cost every user time."""

from __future__ import annotations


def version() -> str:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("llm-cost-ops")
    except PackageNotFoundError:
        return "0+source"
