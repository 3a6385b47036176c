"""Mail through SMTP servers that are really there, and each way in which they say no."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.server.delivery.channels import EmailChannel
from llm_cost_ops.server.delivery.deliver import Carriers, deliver
from llm_cost_ops.server.delivery.notice import Outcome
from tests.server.delivery import mail_rules
from tests.server.delivery.notices import ALL, BUDGET
from tests.support.mailsink import MailSink, mail_sink, scripted
from tests.support.sink import certificate

A, B, C = "a@example.com", "b@example.com", "c@example.com"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
Made = Callable[..., Carriers]


@pytest.fixture
def server() -> Iterator[MailSink]:
    with mail_sink() as made:
        yield made


@pytest.fixture
def send(carriers: Made) -> Callable[..., Outcome]:
    """Deliver the budget's notice to a server in the clear, unless settings say otherwise."""

    def sent(port: int, *recipients: str, **settings: Any) -> Outcome:
        chosen: dict[str, Any] = {
            "smtp_host": "127.0.0.1",
            "smtp_port": port,
            "smtp_use_tls": False,
            "smtp_timeout_seconds": 5.0,
            "from_address": "Cost Ops <cost-ops@example.com>",
        }
        through = carriers(**{**chosen, **settings})
        channel = EmailChannel(recipients=recipients or (A,))
        return deliver(channel, BUDGET, through=through, delivery_id="job_1")

    return sent


def test_a_mail_arrives_whole(server: MailSink, carriers: Made) -> None:
    through = carriers(
        smtp_host="127.0.0.1", smtp_port=server.port, smtp_use_tls=False, from_address="x@ex.org"
    )
    for number, notice in enumerate(ALL):
        channel = EmailChannel(recipients=(A, B))
        outcome = deliver(channel, notice, through=through, delivery_id=f"job_{number}")
        assert outcome == Outcome(True, "taken by the mail server for 2 recipients", 250)
    assert [mail_rules.faults(taken.raw) for taken in server.taken] == [[]] * len(ALL)
    assert {(taken.sender, taken.recipients) for taken in server.taken} == {("x@ex.org", (A, B))}
    assert {taken.hello for taken in server.taken} == {"ex.org"}
    text, _ = mail_rules.texts(server.taken[0].raw)
    assert "Acme has spent USD 812.40 of the USD 1,000.00" in text


@pytest.mark.parametrize(
    ("answer", "final"),
    [
        ("451 4.7.1 greylisted, try again in five minutes", False),
        ("421 4.3.2 shutting down", False),
        ("452 4.2.2 mailbox full", False),
        ("550 5.1.1 no such user", True),
        ("552 5.2.2 over quota", True),
        ("599 never", True),
    ],
)
def test_a_refused_recipient(
    server: MailSink, send: Callable[..., Outcome], answer: str, final: bool
) -> None:
    server.refuse[A] = answer
    outcome = send(server.port, A)
    assert (outcome.delivered, outcome.final) == (False, final)
    assert outcome.status == int(answer[:3])
    assert outcome.detail == f"taken for 0 recipients, refused for {A}: {answer}"
    assert server.taken == []


def test_greylisting_is_over_at_the_next_attempt(
    server: MailSink, send: Callable[..., Outcome]
) -> None:
    server.refuse[A] = "451 4.7.1 greylisted"
    assert not send(server.port, A).delivered
    del server.refuse[A]
    assert send(server.port, A).delivered
    assert len(server.taken) == 1


@pytest.mark.parametrize("command", ["MAIL", "DATA"])
@pytest.mark.parametrize(("answer", "final"), [("450 later", False), ("554 never", True)])
def test_a_refused_mail(
    server: MailSink, send: Callable[..., Outcome], command: str, answer: str, final: bool
) -> None:
    server.refuse[command] = answer
    outcome = send(server.port)
    step = {"MAIL": "the sender", "DATA": "the mail"}[command]
    assert outcome.detail == f"the mail server refused {step}: {answer}"
    assert (outcome.delivered, outcome.final, outcome.status) == (False, final, int(answer[:3]))


def test_some_refused_for_good_is_a_delivery_that_names_them(
    server: MailSink, send: Callable[..., Outcome]
) -> None:
    server.refuse[B] = "550 5.1.1 no such user"
    outcome = send(server.port, A, B, C)
    detail = f"taken for 2 recipients, refused for {B}: 550 5.1.1 no such user"
    assert outcome == Outcome(True, detail, 250)
    assert server.taken[0].recipients == (A, C)


def test_some_refused_for_now_is_to_be_tried_again(
    server: MailSink, send: Callable[..., Outcome]
) -> None:
    server.refuse |= {A: "550 5.1.1 no such user", B: "451 4.7.1 greylisted"}
    outcome = send(server.port, A, B, C)
    assert (outcome.delivered, outcome.final, outcome.status) == (False, False, 451)
    assert outcome.detail.startswith(f"taken for 1 recipient, refused for {A}: 550")
    assert f"{B}: 451" in outcome.detail
    assert server.taken[0].recipients == (C,)


def test_all_refused_is_final_only_if_each_is(
    server: MailSink, send: Callable[..., Outcome]
) -> None:
    server.refuse |= {A: "550 no", B: "550 no"}
    assert send(server.port, A, B).final
    server.refuse[B] = "450 later"
    assert not send(server.port, A, B).final


def test_a_bad_goodbye_changes_nothing(server: MailSink, send: Callable[..., Outcome]) -> None:
    server.refuse["QUIT"] = "500 what?"
    assert send(server.port).delivered
    assert len(server.taken) == 1


@pytest.mark.parametrize(
    ("answers", "final", "status", "detail"),
    [
        ((b"554 5.3.2 no mail here\r\n",), True, 554, "refused the session: 554"),
        ((b"421 4.3.2 busy\r\n",), False, 421, "refused the session: 421"),
        ((b"",), False, None, "ended"),
        ((b"220 hello\r\n",), False, None, "ended"),
        ((b"220 hello\r\n", b"250 ok\r\n"), False, None, "ended"),
        ((b"220 hello\r\n", b"550 no\r\n", b"550 no\r\n"), True, 550, "550 no"),
        ((b"nonsense\r\n",), False, -1, "refused the session"),
        ((None,), False, None, "time"),
        ((b"220 hello\r\n", None), False, None, "timed out"),
    ],
)
def test_servers_that_do_not_get_that_far(
    send: Callable[..., Outcome],
    answers: tuple[bytes | None, ...],
    final: bool,
    status: int | None,
    detail: str,
) -> None:
    with scripted(*answers) as port:
        outcome = send(port, smtp_timeout_seconds=0.3)
    assert (outcome.delivered, outcome.final, outcome.status) == (False, final, status)
    assert detail in outcome.detail
    assert "\n" not in outcome.detail


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        (b"250 sink.test\r\n", "lacks what is needed: SMTP AUTH"),
        (b"250-sink.test\r\n250 AUTH XOAUTH2\r\n", "mail failed: No suitable authentication"),
    ],
)
def test_a_server_that_knows_no_log_in_of_ours(
    send: Callable[..., Outcome], offered: bytes, said: str
) -> None:
    with scripted(b"220 hello\r\n", offered) as port:
        outcome = send(port, smtp_user="me", smtp_password="secret")
    assert (outcome.delivered, outcome.final, outcome.status) == (False, False, None)
    assert said in outcome.detail


def test_nobody_listens(send: Callable[..., Outcome]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    outcome = send(port)
    assert (outcome.delivered, outcome.final, outcome.status) == (False, False, None)
    assert "cannot be reached" in outcome.detail
    assert "refused" in outcome.detail


@needs_openssl
class TestEncrypted:
    @pytest.fixture
    def pair(self, tmp_path: Path) -> tuple[Path, Path]:
        return certificate(tmp_path, "localhost")

    def trusting(self, pair: tuple[Path, Path], **settings: Any) -> dict[str, Any]:
        chosen = {"smtp_host": "localhost", "smtp_use_tls": True, "smtp_ca_file": str(pair[0])}
        return {**chosen, **settings}

    def test_starttls(self, send: Callable[..., Outcome], pair: tuple[Path, Path]) -> None:
        with mail_sink(pair) as server:
            assert send(server.port, **self.trusting(pair)).delivered
            assert server.taken[0].encrypted

    def test_tls_from_the_first_byte(
        self, send: Callable[..., Outcome], pair: tuple[Path, Path]
    ) -> None:
        with mail_sink(pair, implicit=True) as server:
            assert send(server.port, **self.trusting(pair, smtp_use_ssl=True)).delivered
            assert len(server.taken) == 1

    def test_a_server_without_starttls_gets_no_mail(
        self, server: MailSink, send: Callable[..., Outcome], pair: tuple[Path, Path]
    ) -> None:
        login = {"smtp_user": "u", "smtp_password": "p"}
        outcome = send(server.port, **self.trusting(pair, **login))
        assert (outcome.delivered, outcome.final) == (False, False)
        assert "STARTTLS" in outcome.detail
        assert (server.taken, server.logins) == ([], [])

    @pytest.mark.parametrize("implicit", [False, True])
    def test_an_unknown_certificate(
        self, send: Callable[..., Outcome], pair: tuple[Path, Path], implicit: bool
    ) -> None:
        with mail_sink(pair, implicit=implicit) as server:
            settings = self.trusting(pair, smtp_ca_file=None, smtp_use_ssl=implicit)
            outcome = send(server.port, **settings)
            assert server.taken == []
        assert (outcome.delivered, outcome.final) == (False, False)
        assert "certificate" in outcome.detail

    def test_a_certificate_of_another_name(
        self, send: Callable[..., Outcome], tmp_path: Path
    ) -> None:
        other = certificate(tmp_path, "other.test")
        with mail_sink(other) as server:
            outcome = send(server.port, **self.trusting(other))
            assert server.taken == []
        assert "certificate" in outcome.detail

    def test_tls_to_a_server_that_speaks_none(
        self, server: MailSink, send: Callable[..., Outcome], pair: tuple[Path, Path]
    ) -> None:
        outcome = send(server.port, **self.trusting(pair, smtp_use_ssl=True))
        assert (outcome.delivered, outcome.final, server.taken) == (False, False, [])

    def test_log_in(self, send: Callable[..., Outcome], pair: tuple[Path, Path]) -> None:
        with mail_sink(pair, accounts={b"me": b"right"}) as server:
            login = self.trusting(pair, smtp_user="me", smtp_password="right")
            assert send(server.port, **login).delivered
            assert server.logins == [(b"me", b"right")]
            refused = send(server.port, **{**login, "smtp_password": "wrong-secret"})
            assert (refused.delivered, refused.final, refused.status) == (False, True, 535)
            assert "refused the log-in: 535" in refused.detail
            assert "wrong-secret" not in refused.detail
            outcome = send(server.port, **{**login, "smtp_password": "pässword"})
            assert outcome == Outcome(
                False, "SMTP user name and password must be ASCII", final=True
            )
            assert len(server.taken) == 1


def test_a_missing_file_of_certificates(send: Callable[..., Outcome], tmp_path: Path) -> None:
    with mail_sink() as server:
        missing = str(tmp_path / "none.pem")
        outcome = send(server.port, smtp_use_ssl=True, smtp_ca_file=missing)
    assert (outcome.delivered, outcome.final) == (False, False)


@pytest.mark.parametrize(
    ("settings", "lacking"),
    [
        ({}, "email.smtp_host"),
        ({"smtp_host": "h"}, "email.from_address"),
        ({"smtp_host": "h", "smtp_user": "not an address"}, "email.from_address"),
        ({"smtp_host": "h", "smtp_user": "me@example.com"}, "email.smtp_password"),
        ({"smtp_host": "h", "from_address": "me@example.com", "smtp_user": "u"}, "smtp_password"),
    ],
)
def test_settings_that_are_not_enough(
    carriers: Made, settings: dict[str, Any], lacking: str
) -> None:
    channel = EmailChannel(recipients=(A,))
    outcome = deliver(channel, BUDGET, through=carriers(**settings), delivery_id="job_1")
    assert (outcome.delivered, outcome.final, outcome.status) == (False, True, None)
    assert lacking in outcome.detail
    assert outcome.detail.endswith("is not set")
