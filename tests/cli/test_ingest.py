"""`ingest` and `imports`: what is read, sent, told and taken back."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard

from llm_cost_ops.cli import sending
from llm_cost_ops.cli.connect import Api
from llm_cost_ops.exceptions import APIError, NetworkError, ValidationError
from tests.cli.conftest import EXAMPLES, REPOSITORY, Run, call, write_lines

SAMPLES = REPOSITORY / "tests" / "importers" / "samples"


def totals(run: Run, *arguments: object, **options: Any) -> dict[str, Any]:
    """Exit code and the counts of an import."""
    ran = run("ingest", *arguments, "-o", "json", **options)
    return {"code": ran.code, **ran.document()}


def counts(shown: Mapping[str, Any]) -> tuple[int, int, int, int]:
    return shown["created"], shown["duplicates"], shown["corrected"], shown["failed"]


def recorded(run: Run) -> int:
    return run("verify", "-o", "json").json()["records"]


class TestFiles:
    def test_again_adds_nothing(self, run: Run, ledger: str, place: Path) -> None:
        file = write_lines(place / "c.jsonl", [call(n) for n in range(25)])
        first = totals(run, "-f", file, "--batch-size", 10)
        again = totals(run, "-f", file, "--batch-size", 7)
        assert (first["code"], counts(first)) == (0, (25, 0, 0, 0))
        assert (again["code"], counts(again)) == (0, (0, 25, 0, 0))
        assert recorded(run) == 25

    def test_the_examples_are_detected_and_priced(self, run: Run, ledger: str) -> None:
        shown = totals(run, EXAMPLES / "responses.jsonl", EXAMPLES / "usage.jsonl")
        assert [row["format"] for row in shown["data"]] == ["responses", "jsonl"]
        assert shown["failed"] == 0
        assert shown["created"] == shown["records"] > 400

    def test_standard_input_with_its_format_told(self, run: Run, ledger: str) -> None:
        line = json.dumps(call(1)).encode()
        assert counts(totals(run, "-f", "-", stdin=line)) == (1, 0, 0, 0)

    def test_a_parquet_file_on_standard_input(self, run: Run, ledger: str, place: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = [{k: v for k, v in call(n).items() if k != "timestamp"} for n in range(3)]
        pq.write_table(pa.Table.from_pylist(rows), place / "c.parquet")  # type: ignore[no-untyped-call]
        data = (place / "c.parquet").read_bytes()
        assert counts(totals(run, "-f", "-", stdin=data)) == (3, 0, 0, 0)
        assert counts(totals(run, place / "c.parquet")) == (0, 3, 0, 0)

    def test_standard_input_can_be_read_once(self, run: Run) -> None:
        assert run("ingest", "-f", "-", "-f", "-").code == 2

    def test_a_mapped_csv(self, run: Run, ledger: str, place: Path) -> None:
        text = "when,model,in,out\n2026-11-05 10:00,gpt-4o,1000,500\n2026-11-05 11:00,gpt-4o,1,x\n"
        (place / "s.csv").write_text(text, encoding="utf-8")
        mapping = (
            "timestamp=when,provider:=openai,model=model,prompt_tokens=in,completion_tokens=out"
        )
        ran = run("ingest", "s.csv", "--map", mapping, "--timezone", "Europe/Berlin", "-o", "json")
        assert ran.code == 1
        assert counts(ran.document()) == (1, 0, 0, 1)
        assert "s.csv, line 3: completion_tokens" in ran.err
        row = run("query", "--range", "all-time", "-o", "json").rows()[0]
        assert row["timestamp"] == "2026-11-05T09:00:00Z"

    def test_costs_go_through_the_door_for_costs_in_the_same_import(
        self, run: Run, ledger: str, place: Path
    ) -> None:
        rows = [
            call(1),
            {"event_id": "c1", "model": "m", "cost": "1.25", "tokens_used": 5, "currency": "EUR"},
            {"event_id": "c2", "model": "m", "cost": 0.1, "tokens_used": 5},
        ]
        shown = totals(run, "--format", "jsonl", write_lines(place / "mixed.jsonl", rows))
        assert counts(shown) == (3, 0, 0, 0)
        listed = run("query", "--range", "all-time", "-o", "json").rows()
        assert {row["import_id"] for row in listed} == {shown["data"][0]["import_id"]}
        assert sorted((row["currency"], row["total_cost"]) for row in listed) == [
            ("EUR", "1.25"), ("USD", "0.0075"), ("USD", "0.1"),
        ]  # fmt: skip

    def test_a_null_in_metadata_is_kept_beside_a_cost(
        self, run: Run, ledger: str, place: Path
    ) -> None:
        metadata = {"a": None, "n": {"b": None, "c": [None, 1]}}
        cost = {"event_id": "c", "model": "m", "provider": "openai", "cost": 0.1}
        rows = [{**call(1), "metadata": metadata}, {**cost, "metadata": metadata}]
        shown = totals(run, "--format", "jsonl", write_lines(place / "nulls.jsonl", rows))
        assert counts(shown) == (2, 0, 0, 0)
        file = place / "out.jsonl"
        run("export", "--type", "calls", "-f", "jsonl", "--output", file)
        lines = file.read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["metadata"] for line in lines] == [metadata, metadata]

    @pytest.mark.parametrize("content", ["", "  \n\n"])
    def test_an_empty_file_is_no_fault_and_no_import(
        self, run: Run, ledger: str, place: Path, content: str
    ) -> None:
        (place / "empty.jsonl").write_text(content, encoding="utf-8")
        shown = totals(run, "empty.jsonl")
        assert (shown["code"], shown["records"]) == (0, 0)
        assert run("imports", "list", "-o", "json").rows() == []

    def test_wrong_options_are_not_told_as_an_import_that_stopped(
        self, run: Run, ledger: str, place: Path
    ) -> None:
        (place / "m.jsonl").write_text(
            '{"timestamp": 0, "input_length": 5, "output_length": 5}\n', encoding="utf-8"
        )
        ran = run("ingest", "m.jsonl", "-p", "custom", "-m", "m")
        assert ran.code == 2
        assert "give one with --start" in ran.err
        assert "run the same command again" not in ran.err

    @pytest.mark.parametrize("packed", [gzip.compress, zstandard.compress])
    def test_packed_files(
        self, run: Run, ledger: str, place: Path, packed: Callable[[bytes], bytes]
    ) -> None:
        data = write_lines(place / "c.jsonl", [call(n) for n in range(3)]).read_bytes()
        (place / "c.jsonl.x").write_bytes(packed(data))
        assert counts(totals(run, "c.jsonl.x")) == (3, 0, 0, 0)
        assert counts(totals(run, "-f", "-", stdin=packed(data))) == (0, 3, 0, 0)

    def test_a_format_that_cannot_be_told(self, run: Run, ledger: str, place: Path) -> None:
        (place / "x").write_text("hello", encoding="utf-8")
        ran = run("ingest", "x")
        assert ran.code == 2
        assert "name it with --format" in ran.err

    def test_fields_for_records_without_them(self, run: Run, ledger: str, place: Path) -> None:
        rows = [call(1), call(2, project_id="own")]
        file = write_lines(place / "c.jsonl", rows)
        run("ingest", file, "--set", "project_id=web", "--set", "tags=a,b")
        listed = run("query", "--range", "all-time", "-o", "json").rows()
        assert sorted(row["project_id"] for row in listed) == ["own", "web"]
        assert all(row["tags"] == ["a", "b"] for row in listed)

    def test_another_source_is_another_identity(self, run: Run, ledger: str, place: Path) -> None:
        file = write_lines(place / "c.jsonl", [call(1)])
        assert counts(totals(run, file)) == (1, 0, 0, 0)
        assert counts(totals(run, file, "--source", "other")) == (1, 0, 0, 0)


class TestFaults:
    def test_each_is_told_with_its_line_and_the_rest_is_stored(
        self, run: Run, ledger: str, place: Path
    ) -> None:
        good = json.dumps(call(1))
        lines = [good, "{", "", json.dumps(call(2, provider="nonsense")), json.dumps(call(3))]
        (place / "c.jsonl").write_text("\n".join(lines), encoding="utf-8")
        ran = run("ingest", "c.jsonl", "-o", "json")
        assert ran.code == 1
        assert counts(ran.document()) == (2, 0, 0, 2)
        assert "c.jsonl, line 2: not valid JSON" in ran.err
        assert "c.jsonl, line 4, event evt-2: provider must be one of" in ran.err
        assert [p["line"] for p in ran.document()["data"][0]["problems"]] == [2, 4]

    def test_the_first_twenty_are_told_and_the_rest_counted(
        self, run: Run, ledger: str, place: Path
    ) -> None:
        rows = [call(n, provider="nonsense") for n in range(25)]
        ran = run("ingest", write_lines(place / "c.jsonl", rows))
        assert ran.code == 1
        assert ran.err.count("must be one of") == 20
        assert "5 more problems" in ran.err

    def test_another_payload_is_a_conflict(self, run: Run, ledger: str, place: Path) -> None:
        run("ingest", write_lines(place / "a.jsonl", [call(1)]))
        changed = write_lines(place / "b.jsonl", [call(1, prompt_tokens=7)])
        ran = run("ingest", changed, "-o", "json")
        assert ran.code == 1
        assert counts(ran.document()) == (0, 0, 0, 1)
        assert "was already recorded with another payload" in ran.err

    def test_strict_refuses_what_has_no_price(self, run: Run, ledger: str, place: Path) -> None:
        file = write_lines(place / "c.jsonl", [call(1, model="no-such-model"), call(2)])
        strict = totals(run, file, "--strict")
        assert (strict["code"], counts(strict)) == (1, (1, 0, 0, 1))
        lenient = totals(run, file)
        assert (lenient["created"], lenient["unpriced"]) == (1, 1)

    def test_a_dry_run_sends_nothing_and_needs_no_database(self, run: Run, place: Path) -> None:
        lines = json.dumps(call(1)) + "\n{\n"
        (place / "c.jsonl").write_text(lines, encoding="utf-8")
        ran = run("ingest", "c.jsonl", "--dry-run", "-o", "json")
        assert ran.code == 1
        shown = ran.document()
        assert (shown["records"], shown["failed"], shown["created"]) == (1, 1, 0)
        assert shown["dry_run"] is True
        assert sorted(path.name for path in place.iterdir()) == ["c.jsonl"]


class TestAtomic:
    def test_all_of_a_file(self, run: Run, ledger: str, place: Path) -> None:
        file = write_lines(place / "c.jsonl", [call(n) for n in range(9)])
        assert counts(totals(run, file, "--atomic", "--batch-size", 2)) == (9, 0, 0, 0)

    @pytest.mark.parametrize("at", [0, 5, 8])
    @pytest.mark.parametrize("fault", ["refused", "unreadable"])
    def test_or_nothing_of_it(
        self, run: Run, ledger: str, place: Path, at: int, fault: str
    ) -> None:
        lines = [json.dumps(call(n)) for n in range(9)]
        lines[at] = "{" if fault == "unreadable" else json.dumps(call(at, provider="nonsense"))
        (place / "c.jsonl").write_text("\n".join(lines), encoding="utf-8")
        ran = run(
            "ingest", "c.jsonl", "--format", "jsonl", "--atomic", "--batch-size", 2, "-o", "json"
        )
        assert ran.code == 1
        shown = ran.document()
        assert (shown["created"], shown["data"][0]["undone"]) == (0, True)
        assert f"line {at + 1}" in ran.err
        assert "nothing of it was kept" in ran.err
        assert recorded(run) == 0
        lines[at] = json.dumps(call(at))
        (place / "c.jsonl").write_text("\n".join(lines), encoding="utf-8")
        assert counts(totals(run, "c.jsonl", "--atomic")) == (9, 0, 0, 0)


class TestLogs:
    def copied(self, place: Path, *names: str) -> Path:
        folder = place / "logs" / "project"
        folder.mkdir(parents=True)
        for name in names:
            (folder / Path(name).name).write_bytes((SAMPLES / name).read_bytes())
        return place / "logs"

    def logs(self) -> list[str]:
        found = [p for p in SAMPLES.rglob("*.jsonl") if "claude" in str(p) or "codex" in str(p)]
        return [str(path.relative_to(SAMPLES)) for path in found]

    def test_a_directory_is_searched_for_session_logs(
        self, run: Run, ledger: str, place: Path
    ) -> None:
        folder = self.copied(place, *self.logs())
        write_lines(folder / "calls.jsonl", [call(1)])
        (folder / "notes.jsonl").write_text('{"hello": 1}\n', encoding="utf-8")
        ran = run("-v", "ingest", folder, "-o", "json")
        shown = ran.document()
        assert {row["format"] for row in shown["data"]} <= {"claude-code", "codex"}
        assert shown["created"] > 0
        assert "2 files are no session logs" in ran.err
        assert counts(totals(run, folder))[0] == 0

    def test_a_log_that_grew_is_corrected(self, run: Run, ledger: str, place: Path) -> None:
        def line(output: int) -> str:
            usage = {"input_tokens": 100, "output_tokens": output}
            message = {"id": "msg_1", "model": "claude-sonnet-4-5", "usage": usage}
            return json.dumps(
                {
                    "type": "assistant", "sessionId": "s", "uuid": "u", "requestId": "req_1",
                    "timestamp": "2026-11-05T12:00:00Z", "message": message,
                }
            )  # fmt: skip

        folder = place / "logs"
        folder.mkdir()
        (folder / "s.jsonl").write_text(line(1) + "\n", encoding="utf-8")
        assert counts(totals(run, folder)) == (1, 0, 0, 0)
        (folder / "s.jsonl").write_text(line(1) + "\n" + line(50) + "\n", encoding="utf-8")
        assert counts(totals(run, folder)) == (0, 0, 1, 0)
        row = run("query", "--range", "all-time", "-o", "json").rows()[0]
        assert row["completion_tokens"] == 50
        assert run("verify").code == 0


class TestImports:
    def test_listed_shown_and_taken_back(self, run: Run, ledger: str, place: Path) -> None:
        file = write_lines(place / "c.jsonl", [call(1), call(2)])
        import_id = totals(run, file, "--name", "november")["data"][0]["import_id"]
        row = run("imports", "list", "-o", "json").rows()[0]
        assert (row["id"], row["name"], row["created"]) == (import_id, "november", 2)
        assert row["status"] == "complete"
        assert row["created_by"] == "operator"
        assert run("imports", "show", import_id, "-o", "json").json() == row
        undone = run("imports", "undo", import_id, "-o", "json").json()
        assert (undone["status"], undone["voided"]) == ("undone", 2)
        assert run("imports", "undo", import_id).code == 4
        assert counts(totals(run, file)) == (2, 0, 0, 0)
        assert recorded(run) == 2

    def test_the_name_of_the_file_is_the_name_of_the_import(
        self, run: Run, ledger: str, place: Path
    ) -> None:
        (place / "deep").mkdir()
        run("ingest", write_lines(place / "deep" / "c.jsonl", [call(1)]))
        run("ingest", "-f", "-", stdin=json.dumps(call(2)).encode())
        names = [row["name"] for row in run("imports", "list", "-o", "json").rows()]
        assert names == ["standard input", "c.jsonl"]

    def test_an_unknown_one(self, run: Run, ledger: str) -> None:
        ran = run("imports", "show", "imp_nonsense")
        assert ran.code == 4
        assert ran.err.startswith("Error [NOT_FOUND]")

    def test_a_page_at_a_time(self, run: Run, ledger: str, place: Path) -> None:
        for number in range(3):
            run("ingest", write_lines(place / "c.jsonl", [call(number)]))
        page = run("imports", "list", "--limit", 2, "-o", "json").json()
        assert len(page["data"]) == 2
        assert page["has_more"] is True


class TestSending:
    """Batches that are refused whole, and servers that go away."""

    @pytest.fixture
    def file(self, place: Path) -> Path:
        return write_lines(place / "c.jsonl", [call(n) for n in range(8)])

    def test_a_batch_too_large_for_the_server_is_halved(
        self, run: Run, ledger: str, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COST_OPS_INGEST_MAX_BATCH_RECORDS", "3")
        assert counts(totals(run, file)) == (8, 0, 0, 0)

    def test_a_record_too_large_for_the_server_is_refused_alone(
        self, run: Run, ledger: str, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COST_OPS_INGEST_MAX_BODY_BYTES", "2048")
        rows = [call(1), call(2, metadata={"x": "y" * 3000}), call(3)]
        ran = run("ingest", write_lines(place / "c.jsonl", rows), "-o", "json")
        assert (ran.code, counts(ran.document())) == (1, (2, 0, 0, 1))
        assert "line 2, event evt-2" in ran.err

    def test_batches_end_at_their_bytes_too(
        self, run: Run, ledger: str, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sizes: list[int] = []
        send = Api.repeatable

        def seen(self: Api, path: str, body: bytes, params: Mapping[str, Any]) -> Any:
            sizes.append(len(body))
            return send(self, path, body, params)

        monkeypatch.setattr(Api, "repeatable", seen)
        monkeypatch.setattr(sending, "MAX_BYTES", 400)
        assert counts(totals(run, file)) == (8, 0, 0, 0)
        assert len(sizes) == 4
        assert max(sizes) < 420

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (NetworkError("gone"), 4),
            (APIError("forbidden", status_code=403, code="ORGANIZATION_MISMATCH"), 4),
            (KeyboardInterrupt(), 130),
        ],
        ids=["network", "refused", "interrupted"],
    )
    def test_an_import_that_stops_tells_what_it_did_and_can_be_run_again(
        self,
        run: Run,
        ledger: str,
        file: Path,
        monkeypatch: pytest.MonkeyPatch,
        error: BaseException,
        code: int,
    ) -> None:
        send = Api.repeatable
        sent: list[int] = []

        def failing(self: Api, path: str, body: bytes, params: Mapping[str, Any]) -> Any:
            sent.append(len(body))
            if len(sent) > 2:
                raise error
            return send(self, path, body, params)

        with monkeypatch.context() as patched:
            patched.setattr(Api, "repeatable", failing)
            ran = run("ingest", file, "--batch-size", 2, "-o", "json")
        assert ran.code == code
        assert "run the same command again" in ran.err
        assert run("imports", "list", "-o", "json").rows()[0]["status"] == "open"
        assert recorded(run) == 4
        assert counts(totals(run, file)) == (4, 4, 0, 0)

    def test_at_most_two_batches_are_under_way(
        self, run: Run, ledger: str, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import threading
        import time

        send, lock = Api.repeatable, threading.Lock()
        flying = most = 0

        def counted(self: Api, path: str, body: bytes, params: Mapping[str, Any]) -> Any:
            nonlocal flying, most
            with lock:
                flying += 1
                most = max(most, flying)
            time.sleep(0.05)
            try:
                return send(self, path, body, params)
            finally:
                with lock:
                    flying -= 1

        monkeypatch.setattr(Api, "repeatable", counted)
        assert counts(totals(run, file, "--batch-size", 1)) == (8, 0, 0, 0)
        assert most == 2

    def test_a_whole_refusal_without_a_culprit_is_found_by_halving(
        self, run: Run, ledger: str, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send = Api.repeatable

        def picky(self: Api, path: str, body: bytes, params: Mapping[str, Any]) -> Any:
            if b"evt-5" in body:
                fields = {"metadata": "is nonsense"}
                raise ValidationError("no", field_errors=fields, status_code=400)
            return send(self, path, body, params)

        monkeypatch.setattr(Api, "repeatable", picky)
        ran = run("ingest", file, "-o", "json")
        assert counts(ran.document()) == (7, 0, 0, 1)
        assert "line 6, event evt-5: metadata is nonsense" in ran.err


def test_many_files_are_summed_up(run: Run, ledger: str, place: Path) -> None:
    files = [write_lines(place / f"{n:02}.jsonl", [call(n)]) for n in range(25)]
    ran = run("ingest", *files)
    assert "25 files" in ran.out
    assert ran.out.count(".jsonl") == 20
    assert run("-v", "ingest", *files).out.count(".jsonl") == 25
