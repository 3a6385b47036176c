"""Check 43: secrets are drawn from 256 random bits; none comes twice, no digit is preferred."""

from __future__ import annotations

from collections import Counter

import pytest

from llm_cost_ops.server.access.secret import DIGITS, RANDOM_DIGITS, new_secret, well_formed

MANY = 100_000
CHI_SQUARE = 120.0
"""Above the 99.999th percentile of 61 degrees of freedom."""


@pytest.mark.check(43)
@pytest.mark.slow
def test_many_secrets() -> None:
    made = [new_secret("sk_test_") for _ in range(MANY)]
    assert len(set(made)) == MANY
    counts = Counter("".join(secret[8 : 8 + RANDOM_DIGITS] for secret in made))
    assert set(counts) == set(DIGITS)
    expected = MANY * RANDOM_DIGITS / len(DIGITS)
    assert sum((seen - expected) ** 2 / expected for seen in counts.values()) < CHI_SQUARE
    assert all(well_formed(secret) for secret in made[:1_000])
    assert 62**RANDOM_DIGITS > 2**256
