"""Reports as what a schedule delivers."""

from __future__ import annotations

import io
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pypdfium2
import pytest
from pypdf import PdfReader

from tests.support.calls import accepted, send
from tests.support.mailsink import mail_sink
from tests.support.roles import key_of, make_role
from tests.support.schedules import START, Room
from tests.support.workbooks import Book

WHEN = {"cron": "0 9 * * 1-5", "timezone": "America/New_York", "delivery": {"method": "download"}}


def scheduled(room: Room, **fields: Any) -> dict[str, Any]:
    return accepted(send(room.app, "/reports/schedules", {**WHEN, **fields}), 201)


@pytest.mark.parametrize(
    ("form", "ending", "begin"),
    [("html", ".html", b"<!"), ("markdown", ".md", b"#"), ("json", ".json", b"{")],
)
def test_a_report_is_about_the_day_before(
    quick: Room, form: str, ending: str, begin: bytes
) -> None:
    quick.spend("2.5", START - timedelta(days=1))
    quick.spend("70", START - timedelta(days=2))
    made = scheduled(quick, type="cost_summary", format=form)
    assert (made["what"], made["period"]) == ("report", "yesterday")
    run = quick.run(made["id"])
    assert (run["status"], run["facts"]["Total cost"]) == ("completed", "USD 2.5")
    name = run["file"]["name"]
    assert name.startswith("cost-summary-2027-03-09-")
    assert name.endswith(ending)
    content = quick.file(run)
    assert content.lstrip().startswith(begin)
    assert b"2.5" in content or b"25000000000" in content  # units of 1e-10


def texts_of_pdf(content: bytes) -> str:
    assert PdfReader(io.BytesIO(content), strict=True).pages
    with pypdfium2.PdfDocument(content) as opened:
        return "\n".join(page.get_textpage().get_text_range() for page in opened)


@pytest.mark.parametrize("form", ["pdf", "excel"])
def test_a_report_that_is_drawn_opens_where_it_arrives(quick: Room, form: str) -> None:
    """At its own time, in a folder and as an attachment, with the figures of its day alone."""
    for cost, days in (("1234.5", 1), ("0.0000000001", 1), ("777.25", 2), ("888.75", 0)):
        quick.spend(cost, START - timedelta(days=days))
    to = [{"type": "folder", "path": "out"}, {"type": "email", "recipients": ["ann@example.com"]}]
    with mail_sink() as sink:
        quick.mail_to(sink.port)
        made = scheduled(quick, type="cost_summary", format=form, delivery=to)
        quick.at(START + timedelta(hours=1))  # nine in New York is 14:00 there
        quick.at(START + timedelta(hours=2))
    (run,) = quick.runs(made["id"])
    assert (run["status"], run["cause"]) == ("completed", "scheduled")
    assert {each["status"] for each in run["deliveries"]} == {"delivered"}
    (path,) = [each for each in quick.folder.rglob("*") if each.is_file()]
    ((attached,),) = [list(each.mail.iter_attachments()) for each in sink.taken]
    content = path.read_bytes()
    assert path.name == attached.get_filename() == run["file"]["name"]
    assert attached.get_content() == content == quick.file(run)
    assert attached.get_content_type() == run["file"]["media_type"]
    assert run["facts"]["Total cost"] == "USD 1234.5000000001"
    if form == "pdf":
        found = texts_of_pdf(content)
        assert "1,234.50" in found
        assert "1,234.5000000001" in found
        assert "2027-03-09" in found
    else:
        cells = [cell for sheet in Book(content).sheets.values() for cell in sheet.values()]
        assert any(
            isinstance(each, Decimal) and round(each, 4) == Decimal("1234.5") for each in cells
        )
        found = "\n".join(str(each) for each in cells)
        assert "2027-03-09" in found
    assert "777.25" in found  # what the day is compared with
    assert "888.75" not in found


def test_what_the_owner_lacks_is_refused(quick: Room) -> None:
    few = quick.app.new_key("read:costs", "export:data")
    answer = send(quick.app, "/reports/schedules", WHEN, key=few)
    assert answer.status_code == 403
    body = {**WHEN, "what": "report"}
    assert send(quick.app, "/exports/schedules", body, key=few).status_code == 403
    more = quick.app.new_key("read:costs", "export:data", "write:reports")
    audit = {**WHEN, "type": "audit"}
    assert send(quick.app, "/reports/schedules", audit, key=more).status_code == 403
    assert send(quick.app, "/reports/schedules", WHEN, key=more).status_code == 201


def test_it_reaches_no_more_than_the_permissions_of_its_sections(quick: Room) -> None:
    for team in ("ml", "web"):
        budget = {"name": f"only-{team}", "amount": "50", "team_id": team}
        accepted(send(quick.app, "/budgets", budget), 201)
    at = (quick.app.database, quick.app.clock, quick.app.organization_id)
    plain = ["read:costs", "read:reports", "write:reports", "export:data"]
    reporter = make_role(*at, "reporter", plain)
    of_ml = make_role(*at, "ml", ["read:budgets", "read:audit"], {"team": ["ml"]})
    key = key_of(quick.app, "a-person", reporter, of_ml)
    audit = send(quick.app, "/reports/schedules", {**WHEN, "type": "audit"}, key=key)
    assert audit.status_code == 403
    fields = {**WHEN, "type": "budget", "format": "markdown"}
    made = accepted(send(quick.app, "/reports/schedules", fields, key=key), 201)
    content = quick.file(quick.run(made["id"]))
    assert b"only-ml" in content
    assert b"only-web" not in content


def test_files_with_more_than_the_reader_may_see_are_hidden(quick: Room) -> None:
    few = quick.app.new_key("read:costs", "export:data", "write:reports", "read:audit")
    for fields, status in (
        ({"type": "audit"}, 200),
        ({"type": "budget"}, 404),
        ({"type": "custom", "sections": ["totals", "budgets"]}, 404),
        ({"type": "cost_summary"}, 200),
    ):
        run = quick.run(scheduled(quick, **fields, format="markdown")["id"])
        assert quick.file(run)
        answer = quick.app.get(f"/api/v1/exports/schedules/runs/{run['id']}/file", key=few)
        assert answer.status_code == status, fields


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"template": "executive_summary"}, "template"),
        ({"type": "poem"}, "type"),
        ({"start_date": "2027-01-01"}, "start_date"),
        ({"format": "csv"}, "format"),
    ],
)
def test_what_is_refused_names_its_field(quick: Room, fields: dict[str, Any], field: str) -> None:
    answer = send(quick.app, "/reports/schedules", {**WHEN, **fields})
    assert answer.status_code == 422, answer.text
    assert list(answer.json()["error"]["field_errors"]) == [field]
