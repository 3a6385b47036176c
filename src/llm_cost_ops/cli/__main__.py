"""`python -m llm_cost_ops.cli`."""

from __future__ import annotations

from llm_cost_ops.cli import main

main()
