"""The answer is lost on its way (fault row 3): the call is repeated and stays one record."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
import requests

from llm_cost_ops.server.settings import DatabaseSettings
from tests.chaos.conftest import Launch
from tests.chaos.history import History
from tests.chaos.ledger import check_ledger
from tests.chaos.load import Caller, set_price
from tests.chaos.scale import SEED, patient
from tests.support.database import small_pool
from tests.support.faultproxy import FaultProxy

CUT_BYTES = 20
SIZES = [1, 40]


def body_of(batch: list[dict[str, Any]]) -> tuple[str, Any]:
    if len(batch) == 1:
        return "/api/v1/usage", batch[0]
    return "/api/v1/usage/batch", {"records": batch}


def results_of(answer: requests.Response) -> list[dict[str, Any]]:
    said = answer.json(parse_float=Decimal, parse_int=Decimal)
    return said["results"] if "results" in said else [{**said, "status": said["result"]}]


@pytest.mark.parametrize("size", SIZES)
def test_cut_between_client_and_server(
    database_settings: DatabaseSettings, launch: Launch, size: int
) -> None:
    server = launch(database_settings)
    set_price(server)
    history = History()
    path, body = body_of(Caller("c", SEED, history).batch(size))
    with FaultProxy("127.0.0.1", server.settings.server.port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}{path}"
        for _ in range(3):
            proxy.cut_after(CUT_BYTES)
            with pytest.raises(requests.RequestException):
                requests.post(url, json=body, headers=server.tenant.headers, timeout=10)
        proxy.restore()
        answer = requests.post(url, json=body, headers=server.tenant.headers, timeout=10)
    assert answer.status_code == 200
    results = results_of(answer)
    assert {result["status"] for result in results} == {"duplicate"}
    history.acknowledge(results)
    server.kill()
    check_ledger(database_settings, history)


@pytest.mark.parametrize("size", SIZES)
def test_cut_between_server_and_database(
    server_settings: DatabaseSettings, launch: Launch, size: int
) -> None:
    """At several moments of the transaction: whatever the database did, one record is left."""
    with FaultProxy.to(server_settings.url) as proxy:
        server = launch(small_pool(proxy.url))
        set_price(server)
        history = History()
        caller = Caller("c", SEED, history)
        for cut_bytes in (1, CUT_BYTES, 120, 300, 700):
            path, body = body_of(caller.batch(size))
            proxy.cut_after(cut_bytes)
            first = server.post(path, json=body)
            assert first.status_code in (200, 201, 503)
            assert first.status_code != 503 or first.headers["Retry-After"]
            proxy.restore()
            results = results_of(repeated(server.post, path, body))
            if first.status_code != 503:
                assert {result["status"] for result in results} == {"duplicate"}
            history.acknowledge(results)
        server.kill()
    check_ledger(server_settings, history)


def test_the_commit_is_done_and_its_answer_cut(
    postgres_settings: DatabaseSettings, launch: Launch
) -> None:
    """PostgreSQL has committed and says so, and nobody hears it: the repetition is a duplicate."""
    with FaultProxy.to(postgres_settings.url) as proxy:
        server = launch(small_pool(proxy.url))
        set_price(server)
        history = History()
        caller = Caller("c", SEED, history)
        for _ in range(5):
            path, body = body_of(caller.batch(1))
            proxy.cut_at(b"COMMIT\0")
            first = server.post(path, json=body)
            proxy.restore()
            assert first.status_code == 503
            results = results_of(repeated(server.post, path, body))
            history.acknowledge(results)
            assert [result["status"] for result in results] == ["duplicate"]
        server.kill()
    check_ledger(postgres_settings, history)


def repeated(post: Any, path: str, body: Any, within_s: float = patient(10)) -> requests.Response:
    """The first answer that is not 503."""
    until = time.monotonic() + within_s
    while (answer := post(path, json=body)).status_code == 503:
        assert time.monotonic() < until, answer.text
        time.sleep(0.1)
    assert answer.status_code in (200, 201), answer.text
    return answer
