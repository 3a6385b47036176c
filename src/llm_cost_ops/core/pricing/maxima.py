"""The most output tokens that a model can give, for calls that do not limit them themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources


def max_output_tokens(provider: str, model: str) -> int | None:
    """Of a model by the names that its price series has, or None where no source states it.

    Source: LiteLLM's price file, at the version that the price book names.
    """
    return _packaged().get(provider, {}).get(model)


@lru_cache(maxsize=1)
def _packaged() -> Mapping[str, Mapping[str, int]]:
    data = resources.files("llm_cost_ops.core.pricing") / "data" / "max_output_tokens.json"
    return json.loads(data.read_text(encoding="utf-8"))
