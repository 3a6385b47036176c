"""What a control is, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llm_cost_ops.server.settings import Settings

BASELINE = "baseline"
SOC2 = "soc2"
HIPAA = "hipaa"
PROFILES = (BASELINE, SOC2, HIPAA)

MET = "met"
NOT_MET = "not met"
NOT_APPLICABLE = "not applicable"
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the database tells. None is what could not be found out; counts are of all
    organizations."""

    unsafe: tuple[str, ...] | None = None
    schema_current: bool | None = None
    keys: int | None = None
    keys_without_end: int | None = None
    keys_that_may_everything: int | None = None
    keys_unused: int | None = None
    people: int | None = None
    audit_records: int | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that controls look at."""

    settings: Settings
    facts: Facts = Facts()


Judgement = tuple[str, str]
"""The state, and the value that it follows from."""


@dataclass(frozen=True, slots=True)
class Control:
    """`profiles` are those that require it; for the others it is told and not required."""

    id: str
    title: str
    profiles: tuple[str, ...]
    judge: Callable[[Evidence], Judgement]
    fix: str
    setting: str = ""


def judged(met: bool, detail: str) -> Judgement:
    """Met or not."""
    return (MET if met else NOT_MET), detail


def counted(count: int | None, what: str) -> Judgement:
    """Met when there are none."""
    if count is None:
        return UNKNOWN, "the database could not be asked"
    return judged(count == 0, f"{count} {what}")


def report(controls: tuple[Control, ...], profile: str, evidence: Evidence) -> dict[str, object]:
    """All controls as one answer; `met` is false when a required one is not met."""
    rows: list[Mapping[str, object]] = []
    for control in controls:
        state, detail = control.judge(evidence)
        required = profile in control.profiles
        row: dict[str, object] = {
            "id": control.id,
            "title": control.title,
            "state": state,
            "required": required,
            "detail": detail,
        }
        if control.setting:
            row["source"] = evidence.settings.origins.get(control.setting, "default")
        if state in (NOT_MET, UNKNOWN):
            row["fix"] = control.fix
        rows.append(row)
    failed = [row["id"] for row in rows if row["required"] and row["state"] == NOT_MET]
    return {"profile": profile, "met": not failed, "failed": failed, "controls": rows}
