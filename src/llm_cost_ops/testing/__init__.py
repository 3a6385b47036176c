"""Test code that uses the SDK without a network and without a server: see FakeServer."""

from __future__ import annotations

from llm_cost_ops.testing.server import FakeServer

__all__ = ["FakeServer"]
