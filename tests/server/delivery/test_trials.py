"""Tests that somebody waits for, a few at a time."""

from __future__ import annotations

import contextlib

import pytest

from llm_cost_ops.server.delivery.trials import TooManyTrials, Trials


def test_each_organization_has_some_and_all_together_have_more() -> None:
    trials = Trials(most=3, each=2)
    with contextlib.ExitStack() as under_way:
        for organization in ("a", "b", "a"):
            under_way.enter_context(trials.one(organization))
        for organization in ("a", "b", "c"):
            with pytest.raises(TooManyTrials), trials.one(organization):
                raise AssertionError("begun")
    with contextlib.ExitStack() as under_way:
        for _ in range(2):
            under_way.enter_context(trials.one("a"))
        with pytest.raises(TooManyTrials), trials.one("a"):
            raise AssertionError("begun")
        under_way.enter_context(trials.one("b"))


def test_one_that_fails_has_ended() -> None:
    trials = Trials(most=1, each=1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), trials.one("a"):
            raise ZeroDivisionError
