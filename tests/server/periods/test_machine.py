"""A random ledger, closed at random moments: no file of a closed month ever changes, and the books
of all months add up to the ledger."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.periods.books import Books
from tests.support.calls import accepted, record, select_all, send, set_price, usage

MONTHS = ("2026-08", "2026-09", "2026-10", "2026-11")
STEPS = st.sampled_from(
    ["call", "call", "unpriced", "void", "price", "rerate", "close", "close", "reopen", "import",
     "undo", "recount"]
)  # fmt: skip
NUMBERS = st.integers(0, 10**6)


class Machine:
    """One organization, the files of its closed months, and what was done to it."""

    def __init__(self, books: Books) -> None:
        self.books = Books(books.app.another(), books.clock)
        self.closed: dict[str, dict[str, bytes]] = {}
        self.imports: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self._number = 0
        self.price(0)

    def next(self) -> int:
        self._number += 1
        return self._number

    def call(self, number: int, **fields: Any) -> None:
        month = MONTHS[number % len(MONTHS)]
        last = 2 if month == MONTHS[-1] else 28
        one = usage(
            f"e{self.next()}",
            timestamp=f"{month}-{1 + number % last:02}T{number % 24:02}:00:00Z",
            **{"model": "own", "prompt_tokens": number + 1, "team_id": f"t{number % 2}", **fields},
        )
        self.sent.append(one)
        record(self.books.app, one, params={"import_id": self.imports[-1]} if self.imports else {})

    def unpriced(self, number: int) -> None:
        self.call(number, model="no-such")

    def void(self, number: int) -> None:
        listed = accepted(self.books.app.get("/api/v1/costs?limit=1000"))["data"]
        if listed:
            record_id = listed[number % len(listed)]["id"]
            assert self.books.app.delete(f"/api/v1/costs/{record_id}").status_code == 204

    def price(self, number: int) -> None:
        own = {"type": "per_token", "input_price_per_million": f"0.{number:07}1",
               "output_price_per_million": number % 7}  # fmt: skip
        day = f"2026-08-{1 + self.next() % 28:02}"
        model = "no-such" if number % 5 == 4 else "own"
        set_price(self.books.app, model, effective_date=day, pricing_structure=own)

    def rerate(self, number: int) -> None:
        dates = {"start_date": f"{MONTHS[number % 4]}-01", "end_date": "2026-11-30"}
        accepted(send(self.books.app, "/pricing/rerate", {**dates, "dry_run": False}))

    def close(self, number: int) -> None:
        month = MONTHS[len(self.closed)] if self.closed else MONTHS[number % 2]
        if month == MONTHS[-1]:
            return
        accepted(self.books.close(month))
        listed = accepted(self.books.app.get("/api/v1/periods"))["data"]
        for each in listed:
            if each["status"] == "closed" and each["period"] not in self.closed:
                self.closed[each["period"]] = self.books.files(each["period"])
        for earlier in MONTHS[: MONTHS.index(month) + 1]:  # before the first call nothing is stored
            self.closed.setdefault(earlier, self.books.files(earlier))

    def reopen(self, number: int) -> None:
        if self.closed and number % 2:
            last = max(self.closed)
            accepted(self.books.reopen(last))
            del self.closed[last]
            stored = accepted(self.books.app.get("/api/v1/periods"))["data"]
            if not any(each["status"] == "closed" for each in stored):
                self.closed.clear()

    def import_(self, number: int) -> None:
        body = {"format": "jsonl", "name": str(number)}
        self.imports.append(accepted(send(self.books.app, "/imports", body), 201)["id"])

    def undo(self, number: int) -> None:
        if self.imports and number % 2:
            accepted(send(self.books.app, f"/imports/{self.imports.pop()}/undo", {}))

    def recount(self, number: int) -> None:
        if self.sent:
            again = {**self.sent[number % len(self.sent)], "completion_tokens": number % 1000}
            send(self.books.app, "/usage/batch?correct=true", {"records": [again]})

    def step(self, name: str, number: int) -> None:
        getattr(self, "import_" if name == "import" else name)(number)

    def finish(self) -> None:
        for month, files in self.closed.items():
            assert self.books.files(month) == files, month
        self.books.assert_balanced(*MONTHS)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(steps=st.lists(st.tuples(STEPS, NUMBERS), min_size=8, max_size=16))
def test_closed_months_stay_and_all_books_are_the_ledger(
    quick: Books, steps: list[tuple[str, int]]
) -> None:
    machine = Machine(quick)
    for number in range(4):
        machine.call(number * 31 + 7)
    for name, number in steps:
        machine.step(name, number)
    machine.finish()


def test_an_undone_import_of_a_closed_month_is_told_with_its_event_ids(quick: Books) -> None:
    machine = Machine(quick)
    machine.import_(1)
    for number in range(5):
        machine.call(number)
    machine.close(1)
    machine.undo(1)
    for month, files in machine.closed.items():
        assert machine.books.files(month) == files, month
    stored = select_all(quick.app, "SELECT event_id FROM usage_records")
    assert all(row[0].startswith("undone:") for row in stored)
    machine.finish()
    taken_back = machine.books.rows("2026-10", type="usage")
    assert any(row["event_id"].startswith("e") and row["requests"] == "-1" for row in taken_back)
