"""Links that work once."""

from __future__ import annotations

import threading

import pytest

from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, read, write_retrying
from llm_cost_ops.server.identity import links

HOUR_US = 3_600_000_000
NOW_US = 1_790_000_000_000_000


def _made(database: Database, **more: str) -> str:
    return write_retrying(
        database,
        lambda session: links.make_link(
            session, "invite", now_us=NOW_US, lives_us=HOUR_US, detail={"role": "viewer"}, **more
        ),
    )


def _used(database: Database, secret: str, purpose: str = "invite", now_us: int = NOW_US) -> bool:
    def work(session: WriteSession) -> links.Link:
        return links.use_link(session, secret, purpose, now_us=now_us)

    try:
        write_retrying(database, work)
    except links.LinkRefused:
        return False
    return True


def test_says_what_it_is_for(database: Database) -> None:
    secret = _made(database, account_id="acc_1", organization_id="org-1", user_id="usr_1")
    with read(database) as session:
        link = links.look_at_link(session, secret, "invite", now_us=NOW_US)
    assert (link.account_id, link.organization_id, link.user_id) == ("acc_1", "org-1", "usr_1")
    assert link.detail == {"role": "viewer"}
    assert len(secret) >= 43  # 256 bits


def test_works_once(database: Database) -> None:
    secret = _made(database)
    assert _used(database, secret)
    assert not _used(database, secret)


def test_works_until_it_ends(database: Database) -> None:
    secret = _made(database)
    assert not _used(database, secret, now_us=NOW_US + HOUR_US)
    assert _used(database, secret, now_us=NOW_US + HOUR_US - 1)


@pytest.mark.parametrize("purpose", sorted(links.PURPOSES - {"invite"}))
def test_works_for_nothing_else(database: Database, purpose: str) -> None:
    assert not _used(database, _made(database), purpose)


@pytest.mark.parametrize("secret", ["", "x", "x" * 43, "x" * 65])
def test_refuses_what_is_no_secret(database: Database, secret: str) -> None:
    assert not _used(database, secret)


def test_has_one_winner(database: Database) -> None:
    secret = _made(database)
    won: list[bool] = []
    start = threading.Barrier(4)

    def race() -> None:
        start.wait()
        won.append(_used(database, secret))

    racers = [threading.Thread(target=race) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(won) == [False, False, False, True]


def test_is_cancelled(database: Database) -> None:
    own = _made(database, account_id="acc_1")
    member = _made(database, organization_id="org-1", user_id="usr_1")
    other = _made(database, account_id="acc_2")

    def work(session: WriteSession) -> None:
        links.cancel_links(session, "invite", account_id="acc_1", now_us=NOW_US)
        links.cancel_links(
            session, "invite", organization_id="org-1", user_id="usr_1", now_us=NOW_US
        )

    write_retrying(database, work)
    assert [_used(database, secret) for secret in (own, member, other)] == [False, False, True]


def test_is_removed_when_it_has_ended(database: Database) -> None:
    _made(database)
    removed = [
        write_retrying(database, lambda session, at=at: links.remove_ended_links(session, at))
        for at in (NOW_US + HOUR_US, NOW_US + HOUR_US + 1)
    ]
    assert removed == [0, 1]


def test_is_made_for_a_known_purpose(database: Database) -> None:
    with pytest.raises(ValueError, match="no purpose"):
        write_retrying(
            database, lambda s: links.make_link(s, "party", now_us=NOW_US, lives_us=HOUR_US)
        )
