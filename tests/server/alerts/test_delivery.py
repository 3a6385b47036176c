"""Deliveries: tried again as the other side says, dead where nothing helps, seen where they are."""

from __future__ import annotations

from datetime import timedelta

import pytest

from llm_cost_ops.server.alerts import channels
from llm_cost_ops.server.alerts.desk import CHANNELS
from llm_cost_ops.server.alerts.work import DELIVER
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.delivery.notice import Outcome
from llm_cost_ops.server.delivery.sealing import NoSecretKey, SecretUnreadable, Vault, is_sealed
from llm_cost_ops.server.delivery.trials import TRIALS
from llm_cost_ops.server.queue import dead_letters
from tests.server.alerts.test_lifecycle import raised
from tests.support.alerts import Room

BUSY = Outcome(False, "HTTP 503", 503)


def test_a_failed_delivery_is_tried_again(room: Room) -> None:
    room.channel()
    room.outcomes = [BUSY, ConnectionError("reset"), BUSY]
    alert = raised(room)
    begun = room.alert(alert)["deliveries"][0]
    assert (begun["state"], begun["attempts"], begun["detail"]) == ("pending", 1, "HTTP 503")
    for _ in range(3):
        room.later(minutes=1)
    done = room.alert(alert)["deliveries"][0]
    assert (done["state"], done["status"]) == ("delivered", 200)
    assert room.history(alert).count("notified") == 1
    assert len({told.delivery_id for told in room.told}) == 1


def test_the_wait_that_the_other_side_names_is_kept(room: Room) -> None:
    room.channel()
    room.outcomes = [Outcome(False, "HTTP 429", 429, retry_after_s=900)]
    alert = raised(room)
    room.told.clear()
    room.later(minutes=14, seconds=59)
    assert room.told == []
    room.later(seconds=1)
    assert room.alert(alert)["deliveries"][0]["state"] == "delivered"


def test_a_shorter_wait_than_our_own_does_not_use_up_the_attempts(quick: Room) -> None:
    quick.channel()
    quick.outcomes = [Outcome(False, "HTTP 503", 503, retry_after_s=1)] * 40
    alert = raised(quick)
    for _ in range(120):
        quick.later(seconds=1)
    begun = quick.alert(alert)["deliveries"][0]
    assert begun["state"] == "pending"
    assert begun["attempts"] < 8


def test_slow_channels_take_no_place_from_other_work() -> None:
    assert DELIVER.waits


def test_a_test_of_a_channel_holds_up_no_other_request(quick: Room) -> None:
    path = f"/api/v1/alerts/channels/{quick.channel()}/test"
    own = quick.app.organization_id
    with TRIALS.one(own), TRIALS.one(own):
        refused = quick.app.post(path)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "RATE_LIMIT_EXCEEDED"
    (result,) = quick.app.post(path).json()["results"]
    assert "mail cannot be sent" in result["detail"]


def test_what_cannot_be_delivered_is_a_dead_letter(room: Room) -> None:
    room.channel("bad")
    room.channel("good")
    room.outcomes = [Outcome(False, "HTTP 404", 404, final=True)]
    alert = raised(room)
    states = [each["state"] for each in room.alert(alert)["deliveries"]]
    assert sorted(states) == ["delivered", "failed"]  # one does not hold up the other
    assert "failed" in room.history(alert)
    with read(room.app.database) as session:
        (dead,) = dead_letters.list_jobs(session, room.app.organization_id, state="dead")
    assert (dead["kind"], dead["last_error"]) == (DELIVER.name, "HTTP 404")
    room.told.clear()
    room.act(alert, "resolve")
    assert [told.to for told in room.told] == ["good@example.com"]


@pytest.mark.parametrize(
    ("kind", "told"), [("pagerduty", ["trigger", "resolve"]), ("email", ["trigger"])]
)
def test_the_end_of_what_may_have_arrived_is_told_to_machines(
    quick: Room, kind: str, told: list[str]
) -> None:
    fields = {"type": kind, "routing_key": "a" * 32} if kind == "pagerduty" else {}
    quick.channel(**fields)
    quick.outcomes = [Outcome(False, "timed out")]
    alert = raised(quick)
    quick.act(alert, "resolve")
    quick.later(minutes=5)
    assert [each.notice.moment for each in quick.told] == told


def test_in_the_end_it_is_given_up(quick: Room) -> None:
    quick.channel()
    quick.rule("anomaly", auto_clear_minutes=7 * 24 * 60)
    quick.outcomes = [BUSY] * 100
    alert = raised(quick)
    begin = quick.clock.current
    while quick.alert(alert)["deliveries"][0]["state"] == "pending":
        quick.later(hours=1)
        assert quick.clock.current < begin + timedelta(days=2)
    found = quick.alert(alert)["deliveries"][0]
    assert (found["state"], found["attempts"]) == ("failed", DELIVER.max_attempts)


def test_every_addressee_has_a_delivery_of_its_own(room: Room) -> None:
    room.channel(recipients=["a@example.com", "b@example.com"])
    room.outcomes = [Outcome(False, "550 no such user", 550, final=True)]
    alert = raised(room)
    states = {each["state"] for each in room.alert(alert)["deliveries"]}
    assert states == {"failed", "delivered"}
    room.told.clear()
    room.act(alert, "resolve")
    assert [told.to for told in room.told] == ["b@example.com"]


@pytest.mark.parametrize("change", ["removed", "off", "fewer"])
def test_a_channel_that_is_gone_by_then(quick: Room, change: str) -> None:
    channel = quick.channel(recipients=["a@example.com", "b@example.com"])
    quick.outcomes = [BUSY, BUSY]
    alert = raised(quick)
    quick.told.clear()
    path = f"/api/v1/alerts/channels/{channel}"
    if change == "removed":
        assert quick.app.delete(path).status_code == 204
    else:
        body = {"enabled": False} if change == "off" else {"recipients": ["a@example.com"]}
        assert quick.app.request("PATCH", path, json=body).status_code == 200
    quick.later(minutes=10)
    states = [each["state"] for each in quick.alert(alert)["deliveries"]]
    expected = {
        "removed": ["skipped"] * 2,
        "off": ["skipped"] * 2,
        "fewer": ["delivered", "skipped"],
    }
    assert sorted(states) == expected[change]


def test_a_snooze_before_the_delivery_keeps_it_quiet(quick: Room) -> None:
    quick.channel()
    quick.outcomes = [BUSY]
    alert = raised(quick)
    quick.told.clear()
    quick.act(alert, "snooze", minutes=60)
    quick.later(minutes=30)
    assert quick.told == []
    quick.later(minutes=31)
    assert quick.said() == [("ops", "trigger")]


KEY = "0123456789abcdef0123456789abcdef"


def test_sealed_texts_open_with_their_key_for_their_owner_only() -> None:
    seal = Vault(KEY, CHANNELS)
    stored = seal.seal("secret", "chn_1")
    assert "secret" not in stored
    assert is_sealed(stored)
    assert seal.seal("secret", "chn_1") != stored
    assert seal.open(stored, "chn_1") == "secret"
    for other, owner, text in (
        (seal, "chn_2", stored),
        (Vault(KEY[::-1], CHANNELS), "chn_1", stored),
        (Vault(None, CHANNELS), "chn_1", stored),
        (seal, "chn_1", stored[:-8] + "AAAAAAA="),
        (seal, "chn_1", "v1:%%%"),
        (seal, "chn_1", "v1:"),
        (seal, "chn_1", "other"),
    ):
        with pytest.raises(SecretUnreadable):
            other.open(text, owner)


def test_without_a_key_texts_are_kept_and_said_to_be() -> None:
    stored = Vault(None, CHANNELS).seal("secret", "chn_1")
    assert not is_sealed(stored)
    assert (
        Vault(None, CHANNELS).open(stored, "chn_1")
        == Vault(KEY, CHANNELS).open(stored, "chn_1")
        == "secret"
    )


def test_production_keeps_no_secret_in_the_clear() -> None:
    strict = Vault(None, CHANNELS, required=True)
    with pytest.raises(NoSecretKey):
        strict.seal("secret", "chn_1")
    assert strict.seal("a@example.com", "chn_1", secret=False) == "v0:a@example.com"
    assert is_sealed(Vault(KEY, CHANNELS, required=True).seal("secret", "chn_1"))


def test_a_channel_whose_secrets_cannot_be_read_is_dead_and_can_be_given_again(
    quick: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = quick.channel()

    def broken(*_: object) -> object:
        raise SecretUnreadable("security.secret_key is not the one that it was stored with")

    with monkeypatch.context() as patched:
        patched.setattr(Vault, "open", broken)
        alert = raised(quick)
        found = quick.alert(alert)["deliveries"][0]
        assert found["state"] == "failed"
        assert "secret_key" in found["detail"]
        path = f"/api/v1/alerts/channels/{channel}"
        assert quick.app.get(path).json()["readable"] is False
        tested = quick.app.post(f"{path}/test").json()
        assert (tested["delivered"], quick.told) == (False, [])
        refused = quick.app.request("PATCH", path, json={"enabled": True})
        assert refused.json()["error"]["field_errors"] == {"recipients": "is required"}
        body = {"recipients": ["new@example.com"]}
        assert quick.app.request("PATCH", path, json=body).status_code == 200
    with read(quick.app.database) as session:
        row = channels.row(session, quick.app.organization_id, channel)
    assert "new@example.com" in row["config"]
