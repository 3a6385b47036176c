"""kill -9 of the server while clients send (fault row 1): nothing acknowledged is lost, nothing
counted twice, no batch is half there."""

from __future__ import annotations

import random
import time

import pytest

from llm_cost_ops.server.settings import DatabaseSettings
from tests.chaos.conftest import Launch
from tests.chaos.ledger import check_ledger
from tests.chaos.load import Crowd, set_price
from tests.chaos.scale import CYCLES, SEED, patient

READY_WITHIN_S = patient(10)
COLD_EVERY = 10
"""Every tenth start is one of a new interpreter, as an operator's would be."""


@pytest.mark.chaos
def test_kill_nine_loses_and_doubles_nothing(
    database_settings: DatabaseSettings, launch: Launch
) -> None:
    print(f"seed {SEED}, {CYCLES} cycles")
    chance = random.Random(SEED)
    server = launch(database_settings, cold=True)
    set_price(server)
    with Crowd([server], seed=SEED) as crowd:
        for cycle in range(CYCLES):
            time.sleep(chance.uniform(0.05, 0.8))
            server.kill()
            assert server.start(cold=cycle % COLD_EVERY == 5) < READY_WITHIN_S
    server.kill()
    assert len(crowd.history.acknowledged) > CYCLES
    check_ledger(database_settings, crowd.history)
