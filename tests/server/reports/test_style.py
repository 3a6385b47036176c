"""The looks of an organization's reports: kept, refused, and drawn."""

from __future__ import annotations

import io
from base64 import b64decode, b64encode
from typing import Any

from PIL import Image

from llm_cost_ops.core.report.text import from_text
from llm_cost_ops.server.reports.style import MAX_LOGO_TEXT
from tests.support.application import Application
from tests.support.calls import accepted, error, put, send

PATH = "/api/v1/reports/style"
PLAIN = {"primary_color": "#1f4e79", "accent_color": "#c55a11", "logo": None, "updated_at": None}


def logo(kind: str = "JPEG") -> str:
    out = io.BytesIO()
    Image.new("RGB", (60, 20), "#cc0000").save(out, kind)
    return b64encode(out.getvalue()).decode()


def keep(app: Application, **fields: Any) -> dict[str, Any]:
    return accepted(put(app, "/reports/style", fields), 200)


def document(app: Application) -> Any:
    fields = {"start_date": "2026-10-01", "end_date": "2026-10-31", "wait": True}
    made = accepted(send(app, "/reports/generate", {**fields, "format": "html"}), 201)
    assert made["status"] == "completed", made
    path = f"/api/v1/reports/{made['id']}/download"
    return from_text(app.get(path, params={"format": "json"}).text), app.get(path).text


def test_reports_made_after_a_change_have_the_new_looks(application: Application) -> None:
    assert accepted(application.get(PATH), 200) == PLAIN
    before, page = document(application)
    assert before.style.primary == "#1f4e79"
    kept = keep(application, primary_color="#004422", logo=logo())
    assert kept["accent_color"] == "#c55a11"
    assert kept["updated_at"] is not None
    assert b64decode(kept["logo"]).startswith(b"\x89PNG")  # made anew
    assert accepted(application.get(PATH), 200) == kept
    made, page = document(application)
    assert made.style.primary == "#004422"
    assert made.style.logo == b64decode(kept["logo"])
    assert "--primary: #004422" in page
    assert f"data:image/png;base64,{kept['logo']}" in page
    replaced = keep(application, accent_color="#AA0000")
    assert replaced["logo"] is None  # what is left out is plain
    assert replaced["primary_color"] == "#1f4e79"
    assert application.delete(PATH).status_code == 204
    assert accepted(application.get(PATH), 200) == PLAIN
    assert application.delete(PATH).status_code == 204


def test_reports_with_a_photograph_can_be_downloaded(sqlite_application: Application) -> None:
    out = io.BytesIO()
    Image.effect_noise((900, 900), 60).convert("RGB").save(out, "JPEG", quality=70)
    kept = keep(sqlite_application, logo=b64encode(out.getvalue()).decode())
    _, page = document(sqlite_application)
    assert f"data:image/png;base64,{kept['logo']}" in page


REFUSED: tuple[tuple[str, object], ...] = (
    ("primary_color", "red"),
    ("accent_color", "#fff"),
    ("primary_color", 5),
    ("logo", "no base64!"),
    ("logo", b64encode(b"<svg/>").decode()),
    ("logo", "A" * (MAX_LOGO_TEXT + 4)),
    ("color", "#004422"),
)


def test_what_cannot_be_drawn_is_refused_and_changes_nothing(
    sqlite_application: Application,
) -> None:
    kept = keep(sqlite_application, primary_color="#004422")
    for field, value in REFUSED:
        asked = {"accent_color": "#111111", field: value}
        refused = put(sqlite_application, "/reports/style", asked)
        answer = error(refused, 422, "VALIDATION_ERROR")
        assert list(answer["field_errors"]) == [field]
        assert accepted(sqlite_application.get(PATH), 200) == kept


def test_changes_are_audited_without_the_picture(sqlite_application: Application) -> None:
    picture = logo("PNG")
    keep(sqlite_application, logo=picture)
    keep(sqlite_application, primary_color="#004422")
    sqlite_application.delete(PATH)
    sqlite_application.delete(PATH)
    entries = accepted(sqlite_application.get("/api/v1/audit"), 200)["data"]
    listed = [entry for entry in entries if entry["action"].startswith("report_style.")]
    actions = [entry["action"] for entry in listed]
    assert sorted(actions) == ["report_style.changed"] * 2 + ["report_style.deleted"]
    assert picture[:40] not in str(listed)
    assert "logo_sha256" in str(listed)
