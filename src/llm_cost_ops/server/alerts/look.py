"""What an evaluation looks at: an organization, its rules, the ledger, an instant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from llm_cost_ops.server.alerts import measures, store, text
from llm_cost_ops.server.alerts.finding import Finding
from llm_cost_ops.server.alerts.rules import BUDGET, Rule, default_rule
from llm_cost_ops.server.alerts.store import Row
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import DatabaseUnavailable
from llm_cost_ops.server.db.session import ReadSession, read
from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.identity.organizations import Organization, get_organization


@dataclass(frozen=True, slots=True)
class Look:
    """One organization at one instant (microseconds). `rules` are those in force, `asked` the types
    of which there are any, also switched off."""

    session: ReadSession
    organization: Organization
    rules: Sequence[Rule]
    asked: frozenset[str]
    now_us: int

    @property
    def zone(self) -> ZoneInfo:
        return text.zone_of(self.organization.time_zone)

    def of(self, *kinds: str) -> list[Rule]:
        """The rules of these types."""
        return [rule for rule in self.rules if rule.type in kinds]

    def or_default(self, kind: str) -> list[Rule]:
        """The rules of a type; what holds without one where nobody made any. Who switches the only
        one off wants to be told less and not more."""
        if kind in self.asked:
            return self.of(kind)
        return [default_rule(self.organization.id, kind)]

    def currency(self, rule: Rule) -> str:
        return rule.given.get("currency") or self.organization.currency


def look_at(session: ReadSession, organization_id: str, now_us: int) -> Look | None:
    """None where there is no such organization any more."""
    organization = get_organization(session, organization_id)
    if organization is None:
        return None
    rows = store.rule_rows(session, organization_id)
    rules = [store.rule_of(row) for row in rows if row["enabled"]]
    return Look(session, organization, rules, frozenset(row["kind"] for row in rows), now_us)


def news(look: Look, findings: Sequence[Finding]) -> list[Finding]:
    """The findings of which there is no alert yet, each once."""
    known = store.known_keys(
        look.session, look.organization.id, (each.dedup_key for each in findings)
    )
    fresh = {each.dedup_key: each for each in findings if each.dedup_key not in known}
    return list(fresh.values())


def unseen(look: Look, found: Sequence[Finding]) -> list[Finding]:
    """What is to be fired: findings without an alert, and those that join one that is open. What
    joins one, or comes within the cooldown of the last, is not asked for its drivers."""
    fresh = news(look, [each for each in found if not each.joins or each.rule.type == BUDGET])
    joining = [each for each in found if each.joins and each.rule.type != BUDGET]
    joining += [each for each in fresh if each.joins]
    open_already, beginning = list[Finding](), list[Finding]()
    for each in joining:
        latest = store.latest_of(look.session, look.organization.id, each.subject_key)
        if latest is not None and latest["status"] in store.OPEN:
            open_already.append(replace(each, window=None))
        elif latest is not None and is_cooling(each, latest, look.now_us):
            beginning.append(replace(each, window=None))
        else:
            beginning.append(each)
    return [
        *(each for each in fresh if not each.joins),
        *news(look, beginning),
        *open_already,
    ]


def is_cooling(finding: Finding, latest: Row, now_us: int) -> bool:
    """Whether the last alert of the subject is so young that there is to be no other."""
    if latest["dedup_key"] == finding.dedup_key:
        return False  # not suppressed, but the very same
    age_us = now_us - int(latest["fired_at"])
    return 0 <= age_us < finding.rule.cooldown_us  # a clock that was set back suppresses nothing


def driven(database: Database, findings: Sequence[Finding], now_us: int) -> list[Finding]:
    """The findings with what drove them. Each is asked for in a transaction of its own: an alert is
    worth more than its drivers, and where these take too long it goes without."""
    return [_driven(database, each, now_us) for each in findings]


def _driven(database: Database, finding: Finding, now_us: int) -> Finding:
    if finding.window is None:
        return finding
    window = measures.days_around(finding.window, now_us)
    measure = str(finding.details.get("metric", "cost"))
    try:
        with read(database) as session:
            found = measures.drivers(
                session,
                finding.rule.organization_id,
                finding.scope,
                window,
                finding.currency,
                measure,
            )
    except DatabaseUnavailable as error:
        logger("alerts").warning("alert without drivers", reason=error.message)
        return finding
    return replace(finding, drivers=found)
