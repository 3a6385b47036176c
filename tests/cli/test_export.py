"""`export`: calls as files."""

from __future__ import annotations

import csv
import gzip
import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.client.policy import Sleep
from llm_cost_ops.client.transport import SyncDriver
from tests.cli.conftest import Run, call, write_lines
from tests.support.faultproxy import FaultProxy
from tests.support.live import LiveServer

CALLS = 3_000


@pytest.fixture
def calls(run: Run, ledger: str, place: Path) -> None:
    rows = [call(1), call(2, model="gpt-4o-mini"), call(3, model="no-such-model")]
    assert run("ingest", write_lines(place / "c.jsonl", rows), "--format", "jsonl").code == 0


@pytest.mark.usefixtures("calls")
class TestLocal:
    def test_a_file_adds_up_to_the_ledger(self, run: Run, place: Path) -> None:
        ran = run("export", "--output", "costs.csv")
        assert (ran.code, ran.out) == (0, "")
        assert "bytes written to costs.csv" in ran.err
        with Path("costs.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["total_cost"] for row in rows] == ["0.0075", "0.00045", ""]
        proof = run("verify", "-o", "json").json()
        total = sum(Decimal(row["total_cost"] or 0) for row in rows)
        assert total == Decimal(proof["total_cost"])
        assert sorted(each.name for each in place.glob("*cost*")) == ["costs.csv"]

    def test_groups_formats_and_compression(self, run: Run, place: Path) -> None:
        assert run("export", "--group-by", "model", "-f", "jsonl", "-o", "m.jsonl").code == 0
        lines = [json.loads(line) for line in (place / "m.jsonl").read_text().splitlines()]
        assert [line["model"] for line in lines] == ["gpt-4o", "gpt-4o-mini", "no-such-model"]
        assert lines[2]["total_cost"] is None
        assert lines[2]["unpriced_count"] == 1
        assert run("export", "--compress", "gzip", "-o", "c.csv.gz", "--fields", "id").code == 0
        assert gzip.decompress((place / "c.csv.gz").read_bytes()).startswith(b'id\r\n"usg_')
        assert run("export", "-f", "excel", "-o", "c.xlsx").code == 0
        assert (place / "c.xlsx").read_bytes()[:2] == b"PK"

    @pytest.mark.parametrize(
        ("arguments", "begins"),
        [
            (("-o", "c.parquet"), b"PAR1"),
            (("-o", "c.XLSX"), b"PK"),
            (("-o", "c.json"), b'{"type":'),
            (("-o", "c.jsonl.gz", "--compress", "gzip"), b"\x1f\x8b"),
            (("-o", "c.arrow", "-f", "csv"), b"timestamp,"),
            (("-o", "c.dat"), b"timestamp,"),
        ],
    )
    def test_a_file_is_of_the_format_that_its_name_says(
        self, run: Run, place: Path, arguments: tuple[str, ...], begins: bytes
    ) -> None:
        assert run("export", *arguments).code == 0
        data = (place / arguments[1]).read_bytes()
        assert data.startswith(begins)
        if "gzip" in arguments:
            assert gzip.decompress(data).startswith(b'{"timestamp":')

    def test_standard_output(self, run: Run) -> None:
        ran = run("export", "-o", "-", "--fields", "model,cost", "--provider", "openai")
        assert ran.out.replace("\r\n", "\n") == (
            'model,cost\n"gpt-4o",0.0075\n"gpt-4o-mini",0.00045\n"no-such-model",\n'
        )
        named = run("export", "-o", "-", "--fields", "model", "--model", "gpt-4o", "--totals")
        assert named.out.split() == ["model", '"gpt-4o"', '"TOTAL"']

    def test_what_cannot_be_written_leaves_the_file_that_was_there(
        self, run: Run, place: Path
    ) -> None:
        before = place / "costs.csv"
        before.write_text("kept")
        ran = run("export", "-f", "pdf", "-o", "costs.csv")
        assert ran.code == 2
        assert "must be one of: csv" in ran.err
        assert before.read_text() == "kept"
        assert [each.name for each in place.iterdir() if each.name.endswith(".part")] == []
        ran = run("export", "-o", "no/folder/costs.csv")
        assert (ran.code, "No such file or directory" in ran.err) == (2, True)
        ran = run("export", "--period", "all-time", "--start-date", "2026-11-01", "-o", "x.csv")
        assert ran.code == 2
        assert run("export").code == 2

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
    @pytest.mark.parametrize(
        "command",
        [
            ("export",),
            ("periods", "statement", "2026-10"),
            ("journal", "2026-10", "--map", "accounts.toml"),
        ],
    )
    def test_a_full_disk_is_no_fault_of_the_arguments(
        self, run: Run, place: Path, command: tuple[str, ...]
    ) -> None:
        (place / "accounts.toml").write_text('debit_account = "1"\ncredit_account = "2"')
        ran = run(*command, "--output", "/dev/full")
        assert (ran.code, ran.out) == (1, "")
        assert ran.err == "Error [IO_ERROR]: /dev/full: No space left on device\n"
        before = place / "there"
        before.write_text("kept")
        (place / "link").symlink_to(before)
        assert run(*command, "--output", "link").code == 0
        assert before.read_bytes() != b"kept"
        assert (place / "link").is_symlink()
        assert run(*command, "--output", "no/folder").code == 2


def test_a_connection_that_is_lost_begins_the_file_again(
    run: Run, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    _, key = live_server.new_organization()
    monkeypatch.setenv("COST_OPS_API_KEY", key)
    file = write_lines(place / "c.jsonl", [call(n) for n in range(CALLS)])
    assert run("--api-url", live_server.base_url, "ingest", file).code == 0
    assert run("--api-url", live_server.base_url, "export", "-o", "whole.csv").code == 0
    whole = (place / "whole.csv").read_bytes()
    assert whole.count(b"\r\n") == CALLS + 1
    with FaultProxy("127.0.0.1", live_server.port) as proxy:
        monkeypatch.setenv("COST_OPS_API_URL", f"http://127.0.0.1:{proxy.port}")
        proxy.cut_after(len(whole) // 2)
        restored: list[int] = []

        def perform(driver: SyncDriver, action: Any) -> Any:
            if not isinstance(action, Sleep):
                return real(driver, action)
            restored.append(1)
            return proxy.restore()

        real = SyncDriver._perform
        monkeypatch.setattr(SyncDriver, "_perform", perform)
        ran = run("export", "-o", "cut.csv")
        assert (ran.code, restored) == (0, [1]), ran.err
        assert (place / "cut.csv").read_bytes() == whole
        proxy.cut_after(len(whole) // 2)
        ran = run("export", "-o", "-")
        assert (ran.code, "in the middle of the file" in ran.err) == (1, True)


def test_an_export_that_a_worker_makes(
    run: Run, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    _, key = live_server.new_organization()
    monkeypatch.setenv("COST_OPS_API_KEY", key)
    monkeypatch.setenv("COST_OPS_API_URL", live_server.base_url)
    assert run("ingest", write_lines(place / "c.jsonl", [call(1)])).code == 0
    made = run("exports", "order", "-f", "jsonl", "--fields", "model,cost", "-o", "json").json()
    deadline = time.monotonic() + 60
    while run("exports", "get", made["id"], "-o", "json").json()["status"] != "completed":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert made["id"] in run("exports", "list", "--status", "completed").out
    ran = run("exports", "download", made["id"], "--output", "c.jsonl")
    assert (ran.code, "bytes written to c.jsonl" in ran.err) == (0, True)
    assert (place / "c.jsonl").read_bytes() == b'{"model":"gpt-4o","cost":0.0075}\n'
    ran = run("exports", "download", made["id"], "--output", "-")
    assert (ran.code, ran.out) == (0, '{"model":"gpt-4o","cost":0.0075}\n')
    assert not (place / "-").exists()
    assert run("exports", "cancel", made["id"]).code == 0
    ran = run("exports", "download", made["id"], "--output", "c.jsonl")
    assert (ran.code, "no longer there" in ran.err) == (4, True)
    assert (place / "c.jsonl").read_bytes().startswith(b'{"model"')
