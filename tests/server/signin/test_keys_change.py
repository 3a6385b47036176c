"""The secrets of second factors, when the keys that seal them change."""

from __future__ import annotations

from dataclasses import replace

from llm_cost_ops.server.privacy.sealed import rotate, status
from llm_cost_ops.server.settings import DatabaseSettings, SecuritySettings, Settings
from tests.support.people import CHEAP, doors_of, make_person, totp

OLD, NEW = "old-key-" * 5, "new-key-" * 5


def test_codes_go_on_under_a_new_key(sqlite_settings: DatabaseSettings) -> None:
    before = Settings(
        database=sqlite_settings, sign_in=CHEAP, security=SecuritySettings(secret_key=OLD)
    )
    with doors_of(before) as doors:
        person = make_person(doors, "viewer")
        browser = doors.browser()
        browser.login(person)
        secret = str(browser.post("/2fa/enroll", {"password": person.password}).json()["secret"])
        browser.post("/2fa/confirm", {"totp": totp(secret, doors.clock)})
    security = SecuritySettings(secret_key=NEW, previous_secret_keys=(OLD,))
    after = replace(before, security=security)
    with doors_of(after) as doors:
        (count,) = (
            each
            for each in rotate(doors.database, after, doors.clock.micros())
            if each.column == "second_factors.secret"
        )
        assert (count.resealed, count.unreadable) == (1, 0)
    alone = replace(before, security=SecuritySettings(secret_key=NEW))
    with doors_of(alone) as doors:
        (count,) = (
            each for each in status(doors.database, alone) if each.column == "second_factors.secret"
        )
        assert (count.current, count.older, count.unreadable) == (1, 0, 0)
        code = totp(secret, doors.clock, 1)
        assert doors.browser().login(person, totp=code).status_code == 200
