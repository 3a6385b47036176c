"""The breaker: who is let through while the database is away."""

from __future__ import annotations

import pytest

from llm_cost_ops.server.db.circuit import Circuit
from llm_cost_ops.server.db.errors import DatabaseUnavailable


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def circuit(time: Time) -> Circuit:
    return Circuit(time, open_seconds=1.0)


def refuses(circuit: Circuit) -> bool:
    try:
        circuit.admit()
    except DatabaseUnavailable:
        return True
    return False


def test_closed_lets_everybody_in(circuit: Circuit) -> None:
    assert not refuses(circuit)
    assert not refuses(circuit)
    assert not circuit.is_open


def test_open_refuses_until_the_second_is_over(circuit: Circuit, time: Time) -> None:
    circuit.failed()
    time.now += 0.999
    assert refuses(circuit)
    time.now += 0.001
    assert not refuses(circuit)


def test_one_caller_at_a_time_tries(circuit: Circuit, time: Time) -> None:
    circuit.failed()
    time.now += 1
    assert not refuses(circuit)
    assert refuses(circuit)
    circuit.failed()
    assert refuses(circuit)
    time.now += 1
    assert not refuses(circuit)
    circuit.connected()
    assert not refuses(circuit)
    assert not circuit.is_open


def test_says_when_to_come_again(circuit: Circuit) -> None:
    circuit.failed()
    with pytest.raises(DatabaseUnavailable) as caught:
        circuit.admit()
    assert caught.value.retry_after == 1
