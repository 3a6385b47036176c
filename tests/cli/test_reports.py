"""`report`: reports as files."""

from __future__ import annotations

from pathlib import Path

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
