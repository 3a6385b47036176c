"""`charges`: commitments, purchases and credits at the command line."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run


@pytest.mark.usefixtures("ledger")
def test_charges_are_entered_told_and_taken_back(run: Run) -> None:
    assert "No charges." in run("charges", "list").out
    terms = ("--start", "2025-10-01", "--end", "2025-12-31")
    added = run("charges", "add", "commitment", "openai", "Credits", "45", "--granted", "50",
                *terms, "--contract", "C-7", "-o", "json")  # fmt: skip
    assert added.code == 0, added.err
    made = added.json()
    assert (made["granted"], made["contract_id"], made["currency"]) == (50, "C-7", "USD")
    seats = ("--quantity", "3", "--unit", "Seats", "--frequency", "recurring")
    assert run("charges", "add", "purchase", "openai", "Seats", "75", *terms, *seats).code == 0
    refused = run("charges", "add", "credit", "openai", "Goodwill", "5", *terms)
    assert (refused.code, "end_date" in refused.err) == (2, True), refused.err
    listed = run("charges", "list", "--kind", "commitment").out
    assert "Credits" in listed
    assert "ended" in listed
    assert "Seats" not in listed
    shown = run("charges", "show", made["id"], "-o", "json").json()
    assert (shown["drawn"], shown["remaining"]) == (0, 50)
    assert run("charges", "delete", made["id"]).code == 0
    assert run("charges", "show", made["id"]).code == 4
