"""The app in this process: whom it trusts, how it starts and ends, whose data it serves."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
import requests

from llm_cost_ops.cli.connect import connected
from llm_cost_ops.cli.failure import CommandError
from llm_cost_ops.cli.local import OPERATOR, running
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.exceptions import AuthenticationError, NotFoundError
from llm_cost_ops.server.access.keys import KeyRing
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.access.secret import well_formed
from llm_cost_ops.server.app import create_app
from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.db.engine import open_database
from llm_cost_ops.server.http.edge import Edge
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from tests.cli.conftest import Run

EVERYTHING = Principal(OPERATOR, "org-default", frozenset({"*"}))


class TestTrust:
    def test_only_the_ring_that_was_told_knows_the_secret(self, ledger: str) -> None:
        database = open_database(DatabaseSettings(url=ledger))
        told, other = KeyRing(database, SystemClock()), KeyRing(database, SystemClock())
        secret = told.trust(EVERYTHING)
        try:
            assert well_formed(secret)
            assert told.remembered(secret) is EVERYTHING
            assert other.remembered(secret) is None
            with pytest.raises(Problem) as refused:
                asyncio.run(other.principal(secret))
            assert refused.value.status == 401
        finally:
            database.dispose()

    def test_two_secrets_are_two(self, ledger: str) -> None:
        database = open_database(DatabaseSettings(url=ledger))
        ring = KeyRing(database, SystemClock())
        assert ring.trust(EVERYTHING) != ring.trust(EVERYTHING)
        database.dispose()

    def test_its_use_is_not_written_to_the_database(self, ledger: str) -> None:
        database = open_database(DatabaseSettings(url=ledger))
        ring = KeyRing(database, SystemClock())
        secret = ring.trust(EVERYTHING)
        database.dispose()
        Path(ledger.removeprefix("sqlite:///")).unlink()
        assert ring.remembered(secret) is EVERYTHING
        asyncio.run(ring.flush_last_used())  # would need the database if there were anything due

    def test_without_the_secret_the_app_refuses(self, ledger: str) -> None:
        app = create_app(Settings(database=DatabaseSettings(url=ledger)))
        with running(app) as session:
            answer = session.get("http://x/api/v1/costs")
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == "AUTH_001"


class TestRunning:
    def test_the_thread_ends_with_the_block(self, ledger: str) -> None:
        app = create_app(Settings(database=DatabaseSettings(url=ledger)))
        with running(app) as session:
            assert session.get("http://x/live").status_code == 200
            assert "local-app" in {thread.name for thread in threading.enumerate()}
        assert "local-app" not in {thread.name for thread in threading.enumerate()}

    def test_an_app_that_does_not_start_says_why(self, ledger: str) -> None:
        settings = Settings(database=DatabaseSettings(url=ledger))
        app = create_app(settings)

        async def broken(*_: object) -> None:
            raise LookupError("no start")

        app.app = broken
        with pytest.raises(LookupError, match="no start"), running(app):
            pass
        assert "local-app" not in {thread.name for thread in threading.enumerate()}

    def test_an_answer_that_takes_too_long_is_a_timeout(self, ledger: str) -> None:
        app = create_app(Settings(database=DatabaseSettings(url=ledger)))
        inner = app.app

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                await asyncio.sleep(30)
            await inner(scope, receive, send)

        app.app = slow
        with running(app) as session, pytest.raises(requests.exceptions.ReadTimeout):
            session.get("http://x/live", timeout=0.05)

    def test_a_body_is_read_while_it_is_made(self, ledger: str) -> None:
        made: list[int] = []
        with running(self._long(ledger, made)) as session:
            answer = session.get("http://x/live", stream=True, timeout=10)
            pieces = answer.iter_content(4)
            assert next(pieces) == b"0000"
            assert len(made) < 1_000, "the app waits for the reader"
            assert b"".join(pieces) == b"".join(b"%04d" % n for n in range(1, 1_000))
            assert session.get("http://x/live").content.endswith(b"0999")

    def test_an_app_is_told_that_nobody_reads_any_more(self, ledger: str) -> None:
        made: list[int] = []
        with running(self._long(ledger, made)) as session:
            answer = session.get("http://x/live", stream=True)
            assert next(answer.iter_content(4)) == b"0000"
            answer.close()
        assert len(made) < 1_000

    def test_a_body_that_breaks_off_is_no_whole_one(self, ledger: str) -> None:
        made: list[int] = []
        with running(self._long(ledger, made, fails_at=3)) as session:
            answer = session.get("http://x/live", stream=True)
            with pytest.raises(LookupError):
                b"".join(answer.iter_content(4))
            with pytest.raises(LookupError):
                session.get("http://x/live")

    def test_a_piece_that_takes_too_long_is_a_timeout(self, ledger: str) -> None:
        with running(self._long(ledger, [], rests_at=3)) as session:
            answer = session.get("http://x/live", stream=True, timeout=0.05)
            with pytest.raises(requests.exceptions.ReadTimeout):
                b"".join(answer.iter_content(4))

    @staticmethod
    def _long(ledger: str, made: list[int], fails_at: int = -1, rests_at: int = -1) -> Edge:
        """An app whose answer has 1,000 pieces."""
        app = create_app(Settings(database=DatabaseSettings(url=ledger)))
        inner = app.app

        async def long(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await inner(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for number in range(1_000):
                if number == fails_at:
                    raise LookupError("half way")
                if number == rests_at:
                    await asyncio.sleep(30)
                body = b"%04d" % number
                await send({"type": "http.response.body", "body": body, "more_body": True})
                made.append(number)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        app.app = long
        return app

    def test_paths_and_queries_arrive_as_they_were_sent(self, ledger: str) -> None:
        with connected(Profile()) as api:
            with pytest.raises(NotFoundError):
                api.read("/costs/a%2Fb")
            assert api.read("/costs", {"user_id": "a&b=c, ü"})["data"] == []

    def test_many_threads_share_it(self, ledger: str) -> None:
        found: list[int] = []
        with connected(Profile()) as api:

            def ask() -> None:
                found.append(len(api.read("/costs")["data"]))

            threads = [threading.Thread(target=ask) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert found == [0] * 8


class TestOrganization:
    @pytest.fixture
    def two(self, run: Run, ledger: str) -> str:
        assert run("init", "--organization", "Acme Ltd").code == 0
        return ledger

    def test_the_only_one_need_not_be_named(self, ledger: str) -> None:
        with connected(Profile()) as api:
            assert api.read("/organizations/current")["id"] == "org-default"

    @pytest.mark.parametrize("name", ["org-acme-ltd", "acme-ltd", "Acme Ltd"])
    def test_by_id_slug_or_name(self, two: str, name: str) -> None:
        with connected(Profile(organization=name)) as api:
            assert api.read("/organizations/current")["id"] == "org-acme-ltd"

    def test_several_are_listed(self, two: str) -> None:
        with pytest.raises(CommandError) as refused, connected(Profile()):
            pass
        assert "org-default (Default), org-acme-ltd (Acme Ltd)" in refused.value.message
        assert refused.value.exit_code == 2

    def test_an_unknown_one_is_named(self, two: str) -> None:
        with pytest.raises(CommandError) as refused, connected(Profile(organization="nobody")):
            pass
        assert "'nobody'" in refused.value.message

    def test_one_does_not_see_the_other(self, run: Run, two: str) -> None:
        arguments = ("-f", "-", "--format", "jsonl", "--organization")
        line = b'{"provider":"openai","model":"gpt-4o","prompt_tokens":1,"completion_tokens":1}'
        assert run("ingest", *arguments, "acme-ltd", stdin=line).code == 0
        theirs = run("query", "--range", "all-time", "--org", "acme-ltd", "-o", "json").rows()
        ours = run("query", "--range", "all-time", "--org", "org-default", "-o", "json").rows()
        assert (len(theirs), len(ours)) == (1, 0)


def test_the_local_secret_opens_no_server(ledger: str, live_server: object) -> None:
    with connected(Profile()) as api:
        secret = api.settings.api_key
    address = live_server.base_url  # type: ignore[attr-defined]
    with (
        pytest.raises(AuthenticationError),
        connected(Profile(api_url=address, api_key=secret)) as remote,
    ):
        remote.read("/costs")
