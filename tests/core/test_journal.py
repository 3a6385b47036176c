"""Journals: balanced to the cent, the month's total rounded once, every line with its account."""

from __future__ import annotations

import csv
import io
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.journal import (
    COLUMNS,
    Accounts,
    Cost,
    Document,
    JournalError,
    Target,
    csv_text,
    documents,
    places_of,
    rounded,
)

OCTOBER = date(2026, 10, 1)
CENT = 10**8
ACCOUNTS = Accounts(
    "6400",
    "3300",
    "CC-000",
    projects={"web": Target("6410"), "app": Target(None, "CC-100")},
    teams={"search": Target("6420", "CC-200")},
    cost_centers={"CC-100": "6430"},
    providers={"openai": "3310"},
)


def cost(e10: int, project: str | None = None, team: str | None = None, **more: str) -> Cost:
    return Cost(more.get("provider", "openai"), project, team, more.get("currency", "USD"), e10)


def booked(document: Document) -> list[tuple[str, int, str | None]]:
    return [(line.account, line.amount, line.cost_center) for line in document.lines]


@pytest.mark.parametrize(
    ("project", "team", "target"),
    [
        (None, None, ("6400", "CC-000")),
        ("web", None, ("6410", "CC-000")),
        ("web", "search", ("6410", "CC-200")),
        ("app", "search", ("6420", "CC-100")),
        ("app", None, ("6430", "CC-100")),
        ("other", "search", ("6420", "CC-200")),
    ],
)
def test_the_most_special_target_stands(
    project: str | None, team: str | None, target: tuple[str, str]
) -> None:
    assert ACCOUNTS.target(cost(1, project, team)) == target


def test_debits_are_the_credit_of_the_provider() -> None:
    (made,) = documents([cost(150 * CENT, "web"), cost(50 * CENT)], ACCOUNTS, OCTOBER)
    assert booked(made) == [("6400", 50, "CC-000"), ("6410", 150, "CC-000"), ("3310", -200, None)]
    assert (made.number, made.posting_date) == ("LLM-2026-10-USD", date(2026, 10, 31))
    assert (made.total, made.exact, made.rounding) == (Decimal("2.00"), 2, 0)


def test_a_currency_is_a_document_with_its_own_smallest_unit() -> None:
    costs = [cost(15 * 10**9, currency=currency) for currency in ("USD", "JPY", "KWD")]
    made = documents(costs, ACCOUNTS, OCTOBER)
    assert [(each.currency, str(each.total)) for each in made] == [
        ("JPY", "2"), ("KWD", "1.500"), ("USD", "1.50"),
    ]  # fmt: skip
    assert [each.rounding for each in made] == [Decimal("0.5"), 0, 0]
    assert (places_of("CLF"), places_of("EUR")) == (4, 2)


def test_a_reversal_takes_the_document_back_on_the_next_day_of_a_period() -> None:
    december = date(2026, 12, 1)
    made, back = documents([cost(123 * CENT + 5)], ACCOUNTS, december, reverse=True)
    assert back.posting_date == date(2027, 1, 1)
    assert (back.number, back.period, back.reverses) == (f"{made.number}-R", "2027-01", made.number)
    assert [line.amount for line in back.lines] == [-line.amount for line in made.lines]
    assert (back.total, back.exact, back.rounding) == (made.total, made.exact, made.rounding)


def test_what_a_provider_gives_back_is_a_credit() -> None:
    (made,) = documents([cost(-2 * CENT)], ACCOUNTS, OCTOBER)
    assert [line.amount for line in made.lines] == [-2, 2]
    rows = list(csv.DictReader(io.StringIO(csv_text([made]))))
    assert [(row["debit"], row["credit"]) for row in rows] == [("", "0.02"), ("0.02", "")]


def test_a_line_below_half_a_unit_is_there_with_its_exact_amount() -> None:
    (made,) = documents([cost(1, "web"), cost(CENT)], ACCOUNTS, OCTOBER)
    assert [line.amount for line in made.lines] == [1, 0, -1]
    assert made.rounding == Decimal("-0.0000000001")
    assert documents([cost(0)], ACCOUNTS, OCTOBER) == []


def test_the_file_is_safe_for_spreadsheets_and_has_its_columns() -> None:
    (made,) = documents([cost(CENT, "=1+1")], ACCOUNTS, OCTOBER)
    lines = list(csv.reader(io.StringIO(csv_text([made]))))
    assert tuple(lines[0]) == COLUMNS
    assert lines[1][COLUMNS.index("project")] == "'=1+1"
    assert lines[1][COLUMNS.index("exact_amount")] == "0.01"
    assert lines[1][COLUMNS.index("text")] == "LLM 2026-10 openai"


@pytest.mark.parametrize(
    ("posted", "reverse"),
    [(date(2026, 9, 30), False), (date(2026, 11, 1), True)],
)
def test_a_posting_date_that_cannot_be_is_refused(posted: date, reverse: bool) -> None:
    with pytest.raises(JournalError) as refused:
        documents([cost(1)], ACCOUNTS, OCTOBER, posting_date=posted, reverse=reverse)
    assert refused.value.field == "posting_date"


def test_a_month_may_be_posted_later() -> None:
    (made,) = documents([cost(CENT)], ACCOUNTS, OCTOBER, posting_date=date(2026, 11, 1))
    assert made.posting_date == date(2026, 11, 1)


AMOUNTS = st.lists(st.integers(-(10**18), 10**18), min_size=1, max_size=12)


@given(AMOUNTS, st.sampled_from([0, 2, 3, 4]))
def test_rounded_parts_are_the_rounded_sum(parts: list[int], places: int) -> None:
    unit = Decimal(10) ** (10 - places)
    found = rounded(parts, places)
    assert sum(found) == int((sum(parts) / unit).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
    assert all(abs(part - Decimal(e10) / unit) < 1 for part, e10 in zip(found, parts, strict=True))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**14),
            st.sampled_from(["web", "app", None]),
            st.sampled_from(["search", None]),
            st.sampled_from(["openai", "anthropic"]),
        ),
        max_size=10,
    ),
    st.booleans(),
)
def test_every_document_balances(
    parts: list[tuple[int, str | None, str | None, str]], reverse: bool
) -> None:
    costs = [cost(e10, project, team, provider=name) for e10, project, team, name in parts]
    for made in documents(costs, ACCOUNTS, OCTOBER, reverse=reverse):
        assert sum(line.amount for line in made.lines) == 0
        assert sum(line.exact_e10 for line in made.lines) == 0
        assert made.exact == Decimal(sum(each.cost_e10 for each in costs)).scaleb(-10)
        assert abs(made.rounding) <= Decimal("0.005")
