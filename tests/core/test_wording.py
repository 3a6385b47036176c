"""One call has, two calls have."""

from __future__ import annotations

import pytest

from llm_cost_ops.core.wording import calls


@pytest.mark.parametrize(
    ("count", "text", "said"),
    [(0, "0 calls", "0 calls have"), (1, "1 call", "1 call has"), (2, "2 calls", "2 calls have")],
)
def test_the_noun_and_the_verb_follow_the_number(count: int, text: str, said: str) -> None:
    assert calls(count) == text
    assert calls(count, "has", "have") == said
