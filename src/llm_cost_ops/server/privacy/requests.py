"""Requests of persons, from being made to being done."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.access.powers import refuse_stronger
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.last_admin import refuse_last_admins
from llm_cost_ops.server.identity.restricted import OBJECTED, RESTRICTED, kinds_of, lift, restrict
from llm_cost_ops.server.privacy import store
from llm_cost_ops.server.privacy.rewrite import Subject
from llm_cost_ops.server.privacy.subject import subject_of
from llm_cost_ops.server.queue.dead_letters import NoSuchJob, WrongState, replay
from llm_cost_ops.server.queue.enqueue import NewJob, enqueue
from llm_cost_ops.server.queue.work import Job, Kind
from llm_cost_ops.server.spend.lock import hold_alone

ACCESS, ERASE, RECTIFY, RESTRICT, OBJECT, LIFT = (
    "access", "erase", "rectify", "restrict", "object", "lift",
)  # fmt: skip
KINDS = (ACCESS, ERASE, RECTIFY, RESTRICT, OBJECT, LIFT)
PENDING, DONE, FAILED = "pending", "done", "failed"
JOB = Kind("privacy.erase", max_attempts=10, time_limit_s=6 * 3600)
RECTIFIED = ("name", "given_name", "family_name", "email", "metadata")
MAX_REASON = 500
_FIELDS = {"kind", "subject", "changes"}


class PrivacyError(DomainError):
    """A request that cannot be made."""


class RequestUnknown(DomainError):
    """There is no such request in the organization."""

    code = "NOT_FOUND"


class NotFailed(DomainError):
    """Only an erasure that failed can be tried again."""

    code = "CONFLICT"


def make(
    session: WriteSession, fields: Mapping[str, object], actor: Actor, principal: Principal
) -> dict[str, Any]:
    """Make a request; all but an erasure are done at once, that is a job.

    `fields`: `kind`, `subject` (a user id or e-mail address) and, to rectify, `changes`. Raises
    PrivacyError naming the field, SubjectUnknown, what changing a user raises; BeyondOwn to rectify
    or erase a user whose roles hold what the principal does not; LastAdmin.
    """
    kind, named, changes = _checked(fields)
    subject = subject_of(session, actor.organization_id, named)
    if kind in (RECTIFY, ERASE):  # another address could sign in with these roles
        _refuse_stronger(session, principal, subject.user_ids)
    if kind == ERASE:
        refuse_last_admins(session, actor.organization_id, subject.user_ids)
    request_id = single_id("prv", actor.now_us // 1_000, secrets.randbits(80))
    done = kind != ERASE
    row: dict[str, Any] = {
        "id": request_id,
        "organization_id": actor.organization_id,
        "kind": kind,
        "status": DONE if done else PENDING,
        "subject": named,
        "detail": None,
        "certificate": None,
        "created_by": actor.actor_id,
        "created_at": actor.now_us,
        "finished_at": actor.now_us if done else None,
    }
    detail = _carry_out(session, kind, subject, changes, actor)
    if kind == ERASE:
        job = NewJob(JOB, {"request_id": request_id}, actor.organization_id)
        enqueue(session, job, now_us=actor.now_us, once=request_id)
    store.add(session, actor.organization_id, {**row, "detail": dumps(detail)})
    # The log names the request and not the person, whom it would have to forget.
    actor.record(session, f"privacy.{kind}", "privacy_request", request_id, None, {"kind": kind})
    return {**row, "detail": detail}


def _refuse_stronger(session: ReadSession, principal: Principal, user_ids: Sequence[str]) -> None:
    for user_id in user_ids:
        refuse_stronger(session, principal, user_id)


def again(
    session: WriteSession, request_id: str, actor: Actor, principal: Principal
) -> dict[str, Any]:
    """Try an erasure again that failed: it goes on where it was. Raises RequestUnknown, NotFailed,
    BeyondOwn, LastAdmin."""
    organization_id = actor.organization_id
    row = store.row(session, organization_id, request_id, lock=True)
    if row is None:
        raise RequestUnknown("Privacy request not found")
    if row["status"] != FAILED:
        raise NotFailed(f"The request is {row['status']}: only one that failed can be tried again")
    detail = loads(row["detail"] or "{}")
    user_ids: list[str] = detail.get("user_ids") or list(
        subject_of(session, organization_id, row["subject"]).user_ids
    )
    _refuse_stronger(session, principal, user_ids)
    refuse_last_admins(session, organization_id, user_ids)
    try:
        replay(session, organization_id, str(detail.pop("job", "")), now_us=actor.now_us)
    except NoSuchJob:  # removed meanwhile
        enqueue(
            session, NewJob(JOB, {"request_id": request_id}, organization_id), now_us=actor.now_us
        )
    except WrongState:  # somebody had the dead job run again
        pass
    detail.pop("reason", None)
    values = {"status": PENDING, "detail": dumps(detail), "finished_at": None}
    store.change(session, organization_id, request_id, values)
    actor.record(session, "privacy.retry", "privacy_request", request_id, None, {"kind": ERASE})
    return {**row, **values}


def failed(session: WriteSession, job: Job, reason: str, now_us: int) -> None:
    """An erasure whose job is dead has failed; what it did stays done."""
    organization_id, request_id = str(job.organization_id), str(job.payload["request_id"])
    row = store.row(session, organization_id, request_id, lock=True)
    if row is None or row["status"] == DONE:
        return
    detail = {**loads(row["detail"] or "{}"), "reason": reason[:MAX_REASON], "job": job.id}
    values = {"status": FAILED, "detail": dumps(detail), "finished_at": now_us}
    store.change(session, organization_id, request_id, values)


def _checked(fields: Mapping[str, object]) -> tuple[str, str, Mapping[str, object]]:
    for name in fields:
        if name not in _FIELDS:
            raise PrivacyError("is not a known field", field=name)
    kind, subject, changes = (fields.get(name) for name in ("kind", "subject", "changes"))
    if kind not in KINDS:
        raise PrivacyError(f"must be one of {', '.join(KINDS)}", field="kind")
    if not isinstance(subject, str) or not 0 < len(subject.strip()) <= 255:
        raise PrivacyError("must be a user id or an e-mail address", field="subject")
    if (kind == RECTIFY) != (changes is not None):
        said = "is required" if kind == RECTIFY else "belongs to rectify alone"
        raise PrivacyError(said, field="changes")
    if changes is None:
        return str(kind), subject.strip(), {}
    if not isinstance(changes, dict) or not changes:
        raise PrivacyError("must be an object with fields", field="changes")
    return str(kind), subject.strip(), cast("dict[str, object]", changes)


def _carry_out(
    session: WriteSession,
    kind: str,
    subject: Subject,
    changes: Mapping[str, object],
    actor: Actor,
) -> dict[str, Any]:
    organization_id, ids = actor.organization_id, subject.user_ids
    if kind == RECTIFY:
        return rectify(session, subject, changes, actor)
    if kind in (RESTRICT, OBJECT, LIFT):
        hold_alone(session, organization_id)  # those who record calls look at the list again
    if kind in (RESTRICT, OBJECT):
        word = RESTRICTED if kind == RESTRICT else OBJECTED
        restrict(session, organization_id, ids, word, actor.now_us)
        return {"user_ids": len(ids)}
    if kind == LIFT:
        return {"user_ids": lift(session, organization_id, ids)}
    return {}


def rectify(
    session: WriteSession, subject: Subject, changes: Mapping[str, object], actor: Actor
) -> dict[str, Any]:
    """Change what the organization holds of a person who was made. Raises PrivacyError and what
    changing a user raises."""
    from llm_cost_ops.server.identity.users import update_user

    for name in changes:
        if name not in RECTIFIED:
            raise PrivacyError("cannot be rectified", field=f"changes.{name}")
    user_id = store.made_user(session, subject.organization_id, subject.user_ids)
    if user_id is None:
        raise PrivacyError(
            "is known by calls alone, which hold nothing to rectify", field="subject"
        )
    update_user(session, actor, user_id, changes)
    return {"changed": sorted(changes)}


def restrictions_of(session: ReadSession, organization_id: str, named: str) -> dict[str, str]:
    """How the processing of a person's calls is restricted, by user id. Raises SubjectUnknown."""
    subject = subject_of(session, organization_id, named)
    return kinds_of(session, organization_id, subject.user_ids)
