"""`report`: reports as files."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tests.cli.conftest import Run, call, write_lines


def test_a_report_from_the_local_database(run: Run, ledger: str, place: Path) -> None:
    rows = [call(1), call(2, model="no-such-model")]
    assert run("ingest", write_lines(place / "c.jsonl", rows), "--format", "jsonl").code == 0
    made = run(
        "report", "generate", "--period", "all-time", "-f", "markdown", "--output", "all.md",
        "--group-by", "model", "--title", "Everything",
    )  # fmt: skip
    assert (made.code, made.out) == (0, ""), made.err
    assert "bytes written to all.md" in made.err
    text = (place / "all.md").read_text()
    assert "Everything" in text
    assert "no-such-model" in text
    (row,) = run("report", "list", "-o", "json").json()["data"]
    assert (row["status"], row["type"]) == ("completed", "cost_summary")
    again = run("report", "download", row["id"], "-f", "html", "-o", "-")
    assert "<html" in again.out
    assert run("report", "get", row["id"], "-o", "json").json()["title"] == "Everything"
    assert run("report", "cancel", row["id"]).code != 0
    refused = run("report", "generate", "--type", "profit", "--output", "x.pdf")
    assert refused.code == 2
    assert "type" in refused.err
    assert not (place / "x.pdf").exists()


def test_the_looks_of_reports(run: Run, ledger: str, place: Path) -> None:
    Image.new("RGB", (60, 20), "#cc0000").save(place / "logo.png")
    plain = run("report", "style", "show", "-o", "json").json()
    assert (plain["primary_color"], plain["logo"]) == ("#1f4e79", None)
    kept = run("report", "style", "set", "--primary-color", "#004422", "--logo", "logo.png")
    assert kept.code == 0, kept.err
    assert "PNG picture" in kept.out
    assert "#004422" in kept.out
    changed = run("report", "style", "set", "--accent-color", "#aa0000", "-o", "json").json()
    assert (changed["primary_color"], changed["accent_color"]) == ("#004422", "#aa0000")
    assert changed["logo"] is not None
    assert run("report", "style", "set", "--no-logo", "-o", "json").json()["logo"] is None
    assert run("report", "style", "reset", "-o", "json").json() == plain
    (place / "large.png").write_bytes(bytes(1024 * 1024 + 1))
    (place / "no.png").write_text("no picture")
    for asked, told in (
        ((), "name a colour or a logo"),
        (("--logo", "logo.png", "--no-logo"), "give --logo or --no-logo"),
        (("--logo", "missing.png"), "cannot read missing.png"),
        (("--logo", "large.png"), "larger than 1 MiB"),
        (("--logo", "no.png"), "PNG or JPEG"),
        (("--primary-color", "green"), "primary_color"),
    ):
        refused = run("report", "style", "set", *asked)
        assert refused.code == 2, (asked, refused.err)
        assert told in refused.err
