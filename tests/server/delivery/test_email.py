"""Mails: what they say, that they belong together, and that no name breaks out of its place."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email.headerregistry import Address

import pytest
from hypothesis import given

from llm_cost_ops.server.delivery.channels import EmailChannel
from llm_cost_ops.server.delivery.email import MAX_ROWS, email_html, email_message, email_text
from llm_cost_ops.server.delivery.notice import Driver, Fact, Notice
from llm_cost_ops.server.delivery.wording import line, link
from tests.server.delivery import mail_rules
from tests.server.delivery.mail_rules import Page, texts
from tests.server.delivery.notices import (
    ACKNOWLEDGED,
    ALL,
    ANOMALY,
    ATTACKS,
    BUDGET,
    DIGEST,
    DRIVERS,
    RESOLVED,
    crowded,
    hostile_notices,
)

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
SENDER = Address("Cost Ops", addr_spec="cost-ops@example.com")
TO = EmailChannel(recipients=("a@example.com", "b@example.org"))


def raw(notice: Notice, delivery: str = "job_1", to: EmailChannel = TO) -> bytes:
    return email_message(to, notice, SENDER, delivery, NOW).as_bytes()


@pytest.mark.parametrize("notice", ALL, ids=lambda each: f"{each.moment}-{each.severity}")
def test_a_mail_is_well_formed_and_says_it_all(notice: Notice) -> None:
    assert mail_rules.faults(raw(notice)) == []
    text, html = texts(raw(notice))
    page = Page(html)
    assert page.faults == []
    assert page.links == [notice.link]
    flat = " ".join(text.split())
    said = [notice.title, notice.summary, notice.organization, notice.alert_id]
    said += [part for fact in notice.facts for part in (fact.label, fact.value)]
    said += [part for each in notice.drivers for part in (each.name, each.amount, each.share)]
    assert [each for each in said if each not in flat] == []
    assert [each for each in said if each not in " ".join(page.texts)] == []
    assert f"\n{notice.link}\n" in text
    assert max(len(each) for each in text.splitlines() if "://" not in each) <= 72


def test_the_text_of_a_budget_alert() -> None:
    assert email_text(replace(BUDGET, facts=BUDGET.facts[:2], drivers=DRIVERS[:2])) == (
        "WARNING: Budget “Chat production” is 81 % spent\n"
        "\n"
        "Acme has spent USD 812.40 of the USD 1,000.00 budgeted for project chat\n"
        "in November, and at this pace reaches the limit on 29 November.\n"
        "\n"
        "Spent      USD 812.40 of 1,000.00 (81.2 %)\n"
        "Threshold  80 %, reached on 26 Nov 2026, 14:05 CET\n"
        "Since      26 Nov 2026, 14:05 CET\n"
        "\n"
        "Top drivers\n"
        "  gpt-4o in project chat               USD 499.63  61.5 %\n"
        "  claude-sonnet-4-5 in project search  USD 203.10  25.0 %\n"
        "\n"
        "Open in LLM Cost Ops:\n"
        "https://costs.example.com/alerts/alt_01KA0D2V7Q8MZ3?from=mail&tab=drivers\n"
        "\n"
        "-- \n"
        "Acme · LLM Cost Ops · alt_01KA0D2V7Q8MZ3\n"
    )


def test_long_labels_values_and_names_stay_in_their_columns() -> None:
    notice = replace(
        BUDGET,
        facts=(
            Fact("Short", "word " * 30),
            Fact("A label that is longer than half of the width", "its value"),
            Fact("Empty", ""),
        ),
        drivers=(Driver("model " * 20, "USD 1.00", "1 %"), Driver("", "USD 10.00", "10 %")),
        since=None,
        link=None,
    )
    lines = email_text(notice).splitlines()
    assert "Short  word word word word word word word word word word word word word" in lines
    assert "       word word word word" in lines
    place = lines.index("A label that is longer than half of the width")
    assert lines[place + 1] == "       its value"
    assert "Empty" in lines
    assert [each for each in lines if each.endswith("USD 1.00   1 %")]
    assert [each for each in lines if each.endswith("USD 10.00  10 %")]
    assert max(map(len, lines)) <= 72


@pytest.mark.parametrize(
    ("notice", "subject"),
    [
        (BUDGET, "[Warning] Budget “Chat production” is 81 % spent"),
        (ANOMALY, "[Critical] gpt-4o costs 4.1 times what it should"),
        (ACKNOWLEDGED, "[Acknowledged] Budget “Chat production” is 81 % spent"),
        (RESOLVED, "[Resolved] Budget “Chat production” is 81 % spent"),
        (DIGEST, "[Digest] Week of 16 to 22 November: USD 4,210.55"),
        (replace(ANOMALY, severity="info"), "[Info] gpt-4o costs 4.1 times what it should"),
    ],
)
def test_the_subject_begins_with_the_state(notice: Notice, subject: str) -> None:
    assert email_message(TO, notice, SENDER, "job_1", NOW)["Subject"] == subject


def test_headers() -> None:
    mail = email_message(TO, ANOMALY, SENDER, "job_1", NOW)
    assert mail["From"] == "Cost Ops <cost-ops@example.com>"
    assert mail["To"] == "a@example.com, b@example.org"
    assert mail["Date"] == "Fri, 27 Nov 2026 12:00:00 +0000"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Importance"] == "high"
    assert mail["X-Cost-Ops-Alert"] == "alt_01KA0F9"
    assert email_message(TO, BUDGET, SENDER, "job_1", NOW)["Importance"] is None


def test_mails_of_one_alert_refer_to_one_message() -> None:
    mails = [
        email_message(TO, notice, SENDER, f"job_{number}", NOW)
        for number, notice in enumerate((BUDGET, ACKNOWLEDGED, RESOLVED, ANOMALY))
    ]
    roots = [mail["References"] for mail in mails]
    assert len(set(roots[:3])) == 1
    assert roots[3] != roots[0]
    assert [mail["In-Reply-To"] for mail in mails] == [None, roots[0], roots[0], None]
    assert len({mail["Message-ID"] for mail in mails} | set(roots)) == 6


def test_the_message_id_is_the_same_at_each_attempt_and_different_for_each_delivery() -> None:
    def identity(delivery: str, *recipients: str) -> str:
        to = EmailChannel(recipients=recipients)
        return str(email_message(to, BUDGET, SENDER, delivery, NOW)["Message-ID"])

    first = identity("job_1", "a@example.com")
    assert first == identity("job_1", "a@example.com")
    assert first != identity("job_2", "a@example.com")
    assert first != identity("job_1", "b@example.com")


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_name_makes_a_header_or_a_tag(attack: str) -> None:
    notice = replace(BUDGET, title=attack, alert_id=attack, dedup_key=attack, organization=attack)
    sent = raw(notice)
    assert mail_rules.faults(sent) == []
    page = Page(texts(sent)[1])
    assert page.faults == []
    if line(attack, 150):
        assert line(attack, 150) in page.texts


@given(hostile_notices())
def test_any_text_in_any_field_stays_text(notice: Notice) -> None:
    sent = raw(notice)
    assert mail_rules.faults(sent) == []
    text, html = texts(sent)
    page = Page(html)
    assert page.faults == []
    assert page.links == ([] if link(notice) is None else [link(notice)])
    for fact in notice.facts:
        if label := line(fact.label, 120):
            assert label in page.texts
            assert label in text
        if value := line(fact.value, 600):
            assert value in page.texts
    for driver in notice.drivers:
        if name := line(driver.name, 600):
            assert name in page.texts
    assert "\u202e" not in html + text


def test_templates_in_names_are_not_evaluated() -> None:
    html = email_html(replace(BUDGET, title="{{7*7}} {% if x %}", summary="{{ link }}"))
    assert "{{7*7}} {% if x %}" in html
    assert "{{ link }}" in html
    assert "49" not in Page(html).texts[0]


def test_what_is_too_much_is_counted() -> None:
    sent = raw(crowded(MAX_ROWS + 7, "w" * 90))
    assert mail_rules.faults(sent) == []
    text, html = texts(sent)
    assert "14 further lines are left out." in text
    assert "14 further lines are left out." in Page(html).texts
    assert f"{MAX_ROWS - 1} www" in text
    assert f"{MAX_ROWS} www" not in text


def test_a_bare_notice_needs_nothing_but_its_title() -> None:
    bare = Notice("trigger", "", "k", "info", "Title", "")
    assert mail_rules.faults(raw(bare)) == []
    assert email_text(bare) == "INFO: Title\n\n-- \nLLM Cost Ops\n"
    assert Page(email_html(bare)).texts == ["Title", "Info", "Title", "LLM Cost Ops"]


def test_the_html_can_be_dark_and_loads_nothing() -> None:
    html = email_html(BUDGET)
    assert "prefers-color-scheme: dark" in html
    assert '<meta name="color-scheme" content="light dark">' in html
    assert html.count("http") == html.count(
        BUDGET.link.replace("&", "&amp;") if BUDGET.link else ""
    )
    assert len(html.encode()) < 100_000  # Gmail cuts longer mails off
