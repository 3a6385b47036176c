"""The secret of a key: its form, its checksum, its randomness."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.server.access.secret import DIGITS, digest, new_secret, well_formed


@pytest.mark.parametrize("prefix", ["sk_live_", "sk_test_", "sk_staging_", "sk_", "acme_prod_eu_"])
def test_form(prefix: str) -> None:
    secret = new_secret(prefix)
    assert secret.startswith(prefix)
    assert len(secret) == len(prefix) + 43 + 6
    assert set(secret.removeprefix(prefix)) <= set(DIGITS)
    assert well_formed(secret)


@given(st.integers(0, 56), st.sampled_from(DIGITS + "_-é\n"))
def test_one_wrong_character_is_noticed(position: int, character: str) -> None:
    secret = new_secret("sk_live_")
    changed = secret[:position] + character + secret[position + 1 :]
    assert well_formed(changed) == (changed == secret)


@given(st.integers(8, 55))
def test_two_characters_that_changed_places_are_noticed(position: int) -> None:
    secret = new_secret("sk_live_")
    changed = secret[:position] + secret[position + 1] + secret[position] + secret[position + 2 :]
    assert well_formed(changed) == (changed == secret)


@pytest.mark.parametrize(
    "text",
    ["", "sk_live_", "x" * 49, "x" * 10_000, new_secret("sk_")[:-1], new_secret("sk_") + "A",
     " " + new_secret("sk_"), new_secret("sk_") + "\n", new_secret("sk_live_")[1:]],
    ids=range(9),
)  # fmt: skip
def test_anything_else_is_not_well_formed(text: str) -> None:
    assert not well_formed(text)


@given(st.text())
def test_any_text_can_be_asked(text: str) -> None:
    assert not well_formed(text)


def test_secrets_are_distinct_and_their_digits_even() -> None:
    secrets = [new_secret("sk_") for _ in range(20_000)]
    assert len({digest(secret) for secret in secrets}) == len(secrets)
    counts = Counter("".join(secret[3:46] for secret in secrets))
    expected = len(secrets) * 43 / 62
    chi_square = sum((counts[d] - expected) ** 2 / expected for d in DIGITS)
    assert chi_square < 130  # 61 degrees of freedom: above that once in a million runs
