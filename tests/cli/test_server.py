"""Work on a server (`--api-url`), and `serve` as a program."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Run, call, command_line, write_lines
from tests.support.live import LiveServer

START_SECONDS = 60


@pytest.fixture
def server(live_server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> LiveServer:
    """A running server with an organization of its own, named by the environment."""
    organization_id, key = live_server.new_organization()
    monkeypatch.setenv("COST_OPS_API_URL", live_server.base_url)
    monkeypatch.setenv("COST_OPS_API_KEY", key)
    monkeypatch.setenv("TEST_ORGANIZATION", organization_id)
    return live_server


class TestRemote:
    def test_the_whole_way(self, run: Run, server: LiveServer, place: Path) -> None:
        file = write_lines(place / "c.jsonl", [call(n) for n in range(5)])
        assert run("ingest", file, "-o", "json").json()["created"] == 5
        assert run("ingest", file, "-o", "json").json()["duplicates"] == 5
        summary = run("summary", "--period", "all-time", "-o", "json").json()
        assert summary["total_cost"] == "0.0375"
        assert len(run("query", "--range", "all-time", "-o", "json").rows()) == 5
        assert run("verify", "-o", "json").json()["ok"] is True
        assert run("health", "-o", "json").json()["status"] == "healthy"
        imports = run("imports", "list", "-o", "json").rows()
        assert run("imports", "undo", imports[-1]["id"]).code == 0
        assert run("verify", "-o", "json").json()["records"] == 0

    def test_flags_win_over_the_environment(
        self, run: Run, server: LiveServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = server.new_organization()[1]
        monkeypatch.setenv("COST_OPS_API_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("COST_OPS_API_KEY", "sk_nonsense")
        assert run("--api-url", server.base_url, "--api-key", key, "summary").code == 0

    def test_the_sdk_names_of_the_environment_count_too(
        self, run: Run, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LLM_COST_OPS_BASE_URL", live_server.base_url)
        monkeypatch.setenv("LLM_COST_OPS_API_KEY", live_server.new_organization()[1])
        assert run("summary").code == 0

    def test_a_database_that_is_named_wins_over_a_server_of_the_environment(
        self, run: Run, server: LiveServer, place: Path
    ) -> None:
        url = "sqlite:own.db"
        assert run("init", "--database-url", url).code == 0
        assert run("summary", "--database-url", url).code == 0
        assert run("summary", "--database-url", url, "--api-url", "http://x").code == 2

    @pytest.mark.parametrize("key", ["", "sk_nonsense"])
    def test_a_key_that_is_none(
        self, run: Run, server: LiveServer, monkeypatch: pytest.MonkeyPatch, key: str
    ) -> None:
        monkeypatch.setenv("COST_OPS_API_KEY", key)
        ran = run("summary")
        assert ran.code == 3
        assert re.fullmatch(r"Error \[AUTH_001\]: .*\n", ran.err)

    def test_a_key_that_may_not(
        self, run: Run, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch, place: Path
    ) -> None:
        monkeypatch.setenv("COST_OPS_API_URL", live_server.base_url)
        monkeypatch.setenv("COST_OPS_API_KEY", live_server.new_key("read:costs")[1])
        assert run("summary").code == 0
        ran = run("ingest", write_lines(place / "c.jsonl", [call(1)]))
        assert ran.code == 3
        assert "INSUFFICIENT_PERMISSIONS" in ran.err

    def test_another_organization_is_refused(
        self, run: Run, server: LiveServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import os

        own = os.environ["TEST_ORGANIZATION"]
        assert run("summary", "--organization", own).code == 0
        ran = run("summary", "--organization", server.organization_id)
        assert ran.code == 3
        assert "ORGANIZATION_MISMATCH" in ran.err

    def test_keys_are_made_by_the_server(self, run: Run, server: LiveServer) -> None:
        key = run("auth", "create-api-key", "--name", "x", "--scopes", "read:costs").out.strip()
        assert run("--api-key", key, "summary").code == 0
        assert run("--api-key", key, "pricing", "add", "-p", "custom", "-m", "x",
                   "--input-price", "1", "--output-price", "1").code == 3  # fmt: skip

    def test_a_server_that_does_not_answer(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LLM_COST_OPS_MAX_RETRIES", "0")
        ran = run("summary", "--api-url", "http://127.0.0.1:1")
        assert ran.code == 4
        assert ran.err.startswith("Error [NETWORK_ERROR]: GET http://127.0.0.1:1/api/v1/costs/")
        assert ran.err.endswith(": Connection refused\n")
        assert run("health", "--api-url", "http://127.0.0.1:1").code == 4
        nowhere = run("health", "--api-url", "http://name.invalid")
        assert nowhere.code == 4
        assert "name.invalid/health: " in nowhere.err
        assert "HTTPConnectionPool" not in nowhere.err

    @pytest.mark.parametrize("command", ["init", "rebuild", "migrate", "serve"])
    def test_what_needs_the_database_says_so(self, run: Run, command: str) -> None:
        ran = run(command, "--api-url", "http://127.0.0.1:1")
        assert ran.code == 2
        assert "works on the database itself" in ran.err

    def test_an_address_that_is_none(self, run: Run) -> None:
        ran = run("summary", "--api-url", "nonsense")
        assert ran.code == 2
        assert ran.err.startswith("Error [CONFIGURATION_ERROR]")


class Served:
    """`cost-ops serve` as a process."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self.log = folder / "serve.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command_line(arguments), stdout=log, stderr=log)

    def address(self) -> str:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            for line in self.log.read_text(encoding="utf-8").splitlines():
                if '"listening"' in line:
                    address = f"http://127.0.0.1:{json.loads(line)['port']}"
                    if _answers(address):
                        return address
            time.sleep(0.1)
        raise AssertionError(self.log.read_text(encoding="utf-8"))

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/live").is_success
    except httpx.TransportError:
        return False


class TestServe:
    @pytest.mark.parametrize(
        "command",
        [("serve", "--no-worker"), ("server",), ("server", "start")],
        ids=" ".join,
    )
    def test_until_it_is_told_to_stop(
        self, ledger: str, place: Path, command: tuple[str, ...]
    ) -> None:
        served = Served(place, *command, "--host", "127.0.0.1", "--port", "0", "--workers", "1")
        try:
            assert httpx.get(f"{served.address()}/health").json()["status"] == "healthy"
        finally:
            code = served.stop()
        assert code == 0

    def test_a_port_that_is_taken(self, run: Run, ledger: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            assert run("serve", "--host", "127.0.0.1", "--port", port).code == 1

    def test_a_database_without_a_schema(self, run: Run) -> None:
        ran = run("serve", "--port", "0", "--database-url", "sqlite:none.db")
        assert ran.code == 5

    @pytest.mark.parametrize(
        "arguments", [("--port", "many"), ("--port", "70000"), ("--workers", "-1")], ids=" ".join
    )
    def test_wrong_flags(self, run: Run, arguments: tuple[str, ...]) -> None:
        assert run("serve", *arguments).code == 2
