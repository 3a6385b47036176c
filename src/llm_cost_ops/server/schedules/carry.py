"""The one way out for a file: to the destination of one delivery, and how that went.

Nothing here raises for what the other side or the network does. A delivery that is repeated puts
the same file in the same place, or sends a mail with the same Message-ID.
"""

from __future__ import annotations

from dataclasses import dataclass

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.delivery.channels import SlackChannel, TeamsChannel
from llm_cost_ops.server.delivery.deliver import deliver
from llm_cost_ops.server.delivery.letter import Attachment, send_letter
from llm_cost_ops.server.delivery.notice import Outcome
from llm_cost_ops.server.schedules.desk import ScheduleDesk
from llm_cost_ops.server.schedules.destinations import (
    AZURE,
    EMAIL,
    FOLDER,
    GCS,
    S3,
    SLACK,
    TEAMS,
    Destination,
)
from llm_cost_ops.server.schedules.folder import FolderRefused, root_of, write_file
from llm_cost_ops.server.schedules.message import Told, letter_of, notice_of
from llm_cost_ops.server.schedules.store import Row
from llm_cost_ops.server.storage.storage import NotKept, StorageUnavailable

GONE = "the file is kept no longer"


@dataclass(frozen=True, slots=True)
class Load:
    """A file and whom it goes to."""

    run: Row
    told: Told
    part_id: str
    to: Destination

    @property
    def organization_id(self) -> str:
        return str(self.run["organization_id"])

    @property
    def key(self) -> str:
        return str(self.run["file_key"])


def destination_of(part: Row, desk: ScheduleDesk) -> Destination:
    """A stored delivery's destination. Raises SecretUnreadable."""
    secrets = part["secrets"]
    opened: dict[str, str] = {} if secrets is None else loads(desk.seal.open(secrets, part["id"]))
    return Destination(part["kind"], loads(part["target"]), opened)


def carry(load: Load, desk: ScheduleDesk) -> Outcome:
    """Deliver a file to one destination."""
    try:
        if load.to.kind == EMAIL:
            return _mail(load, desk)
        if load.to.kind in (SLACK, TEAMS):
            return _chat(load, desk)
        if load.to.kind == FOLDER:
            return _folder(load, desk)
        if load.to.kind in (S3, GCS, AZURE):
            return _object(load, desk)
    except NotKept:
        return Outcome(False, GONE, final=True)
    except StorageUnavailable as error:
        return Outcome(False, error.message, retry_after_s=error.retry_after)
    return Outcome(False, f"{load.to.kind} is not a destination of this release", final=True)


def _mail(load: Load, desk: ScheduleDesk) -> Outcome:
    (recipient,) = load.to.fields["recipients"]
    attachment = None
    if load.told.size_bytes <= desk.attach_max_bytes:
        content = b"".join(desk.files.get(load.key))
        attachment = Attachment(load.told.file, load.run["media_type"], content)
    letter = letter_of(load.told, recipient, load.part_id, attachment)
    return send_letter(letter, desk.carriers.mail, desk.clock.now())


def _chat(load: Load, desk: ScheduleDesk) -> Outcome:
    kinds = {SLACK: SlackChannel, TEAMS: TeamsChannel}
    channel = kinds[load.to.kind](url=load.to.secrets["url"])
    return deliver(channel, notice_of(load.told), through=desk.carriers, delivery_id=load.part_id)


def _folder(load: Load, desk: ScheduleDesk) -> Outcome:
    try:
        root = root_of(load.to.fields.get("root"), desk.folders)
    except FolderRefused as refused:
        return Outcome(False, str(refused), final=True)
    chunks = desk.files.get(load.key)
    path = load.to.fields["path"]
    return write_file(root, load.organization_id, path, load.told.file, chunks)


def _object(load: Load, desk: ScheduleDesk) -> Outcome:
    from llm_cost_ops.server.schedules.objects import put_object

    chunks = desk.files.get(load.key)
    name = "/".join(filter(None, (load.to.fields["prefix"], load.told.file)))
    return put_object(load.to, name, chunks, desk.carriers.http.guard)
