"""Text made fit for one line, and links that a click may follow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.server.delivery.wording import MAX_LINK, cut, footer, line, link, units
from tests.server.delivery.notices import BUDGET, hostile


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain", "plain"),
        ("  two\r\n\t lines \x00\x1b[1m ", "two lines [1m"),
        ("a\u2028b\u2029c\u00a0d\u3000e\x85f", "a b c d e f"),
        ("\u202egpj.exe\u202c \u2066x\u2069", "gpj.exe x"),
        ("\ud83d half \udc00", "\ufffd half \ufffd"),
        ("Zoë 🙂 日本", "Zoë 🙂 日本"),
        ("", ""),
    ],
)
def test_lines(given: str, shown: str) -> None:
    assert line(given) == shown


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("12345", 5, "12345"),
        ("123456", 5, "1234…"),
        ("123 456", 5, "123…"),
        ("🙂🙂", 4, "🙂🙂"),
        ("🙂🙂🙂", 5, "🙂🙂…"),
        ("🙂🙂🙂", 4, "🙂…"),
        ("ab", 1, "…"),
    ],
)
def test_cuts(text: str, limit: int, shown: str) -> None:
    assert cut(text, limit) == shown


@given(hostile, st.integers(1, 200))
def test_a_line_is_one_and_fits(text: str, limit: int) -> None:
    shown = line(text, limit)
    assert units(shown) <= limit
    assert shown == " ".join(shown.split())
    shown.encode()
    assert line(shown, limit) == shown


@pytest.mark.parametrize(
    ("given", "followed"),
    [
        ("https://x.example/a?b=c&d=%20#e", "https://x.example/a?b=c&d=%20#e"),
        (" http://x.example ", "http://x.example"),
        ("HTTPS://x.example/ü b", "https://x.example/%C3%BC%20b"),
        ('https://x.example/"<>|', "https://x.example/%22%3C%3E%7C"),
        ("https://x.example/\r\nBcc: a", "https://x.example/%0D%0ABcc:%20a"),
        ("https://x.example/\ud800", "https://x.example/?"),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("//x.example/a", None),
        ("https://", None),
        ("https:///path", None),
        ("https://[::1", None),
        ("https://x.example/" + "a" * MAX_LINK, None),
        ("", None),
        (None, None),
    ],
)
def test_links(given: str | None, followed: str | None) -> None:
    assert link(replace(BUDGET, link=given)) == followed


def test_footers() -> None:
    assert footer(BUDGET) == "Acme · LLM Cost Ops · alt_01KA0D2V7Q8MZ3"
    assert footer(replace(BUDGET, organization="", alert_id="")) == "LLM Cost Ops"
    assert units(footer(replace(BUDGET, organization="x" * 500, alert_id="y" * 500))) <= 300
