"""An app that has ended leaves nothing behind: tests and the command line make many."""

from __future__ import annotations

import gc
import weakref

from llm_cost_ops.server.settings import DatabaseSettings, Settings
from tests.support.application import running


def test_an_app_that_has_ended_is_forgotten(sqlite_settings: DatabaseSettings) -> None:
    with running(Settings(database=sqlite_settings)) as application:
        assert application.get("/openapi.json").status_code == 200
        assert application.get("/api/v1/costs").status_code == 200
        state = application.app.state
        ended = [weakref.ref(each) for each in (application.app, state.prices, state.keys)]
    del application, state
    gc.collect()
    assert [each() for each in ended] == [None, None, None]
