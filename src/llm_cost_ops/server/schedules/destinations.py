"""Where a file goes: the kinds of destinations, read from what somebody configured.

Fields that open something, and URLs with which anybody can write, are secrets: they are kept apart
(`Destination.secrets`), sealed, and no answer shows them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.jsontext import JsonError, dumps, loads
from llm_cost_ops.server.delivery.channels import MASK, WrongChannel, read_channel

DOWNLOAD, WEBHOOK, EMAIL, SLACK, TEAMS = "download", "webhook", "email", "slack", "teams"
FOLDER, S3, GCS, AZURE = "folder", "s3", "gcs", "azure"
SYNONYMS: Mapping[str, str] = {
    "mail": EMAIL, "smtp": EMAIL, "msteams": TEAMS, "local": FOLDER, "google": GCS,
    "google_cloud_storage": GCS, "azure_blob": AZURE, "none": DOWNLOAD,
}  # fmt: skip
MAX_DESTINATIONS = 10
MAX_TEXT = 1_024
MAX_PREFIX = 256
_PART = re.compile(r"[^\x00-\x1f\x7f/\\]{1,200}")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}[A-Za-z0-9]", re.ASCII)
_OBJECT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*", re.ASCII)
_REGION = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_PREFIXED = ("prefix", "path", "folder")


class DestinationError(DomainError):
    """A destination that cannot be; `field` names what is wrong."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a file goes. `fields` may be shown, `secrets` may not."""

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    def shown(self) -> dict[str, Any]:
        """Without secrets: that there is one is shown, of a URL the host."""
        hidden = {name: _masked(name, text) for name, text in self.secrets.items()}
        return {"type": self.kind, **self.fields, **hidden}

    def parts(self) -> tuple[Destination, ...]:
        """The destination for each of its addressees alone, so that each is tried again without
        telling the others a second time. None where there is nothing to carry."""
        if self.kind in (DOWNLOAD, WEBHOOK):
            return ()
        if self.kind == EMAIL:
            return tuple(
                Destination(EMAIL, {**self.fields, "recipients": [address]})
                for address in cast("Sequence[str]", self.fields["recipients"])
            )
        return (self,)

    def url(self) -> str | None:
        """The address that somebody named and that will be called."""
        if self.kind in (SLACK, TEAMS):
            return self.secrets["url"]
        return cast("str | None", self.fields.get("endpoint"))


def read_destinations(given: object) -> tuple[Destination, ...]:
    """One destination or a list of some, each an object with a `type`. Raises DestinationError."""
    listed = cast("Sequence[object]", given if isinstance(given, list) else [given])
    if not 1 <= len(listed) <= MAX_DESTINATIONS:
        raise DestinationError(f"must be 1 to {MAX_DESTINATIONS} destinations", field="delivery")
    return tuple(_one(each) for each in listed)


def _one(given: object) -> Destination:
    if isinstance(given, str):
        given = {"type": given}
    if not isinstance(given, Mapping):
        raise DestinationError("must be an object with a type", field="delivery")
    fields = dict(cast("Mapping[str, object]", given))
    method = fields.pop("method", None)
    kind = fields.pop("type", method)
    if not isinstance(kind, str):
        raise DestinationError("is required", field="delivery.type")
    kind = SYNONYMS.get(kind.lower(), kind.lower())
    if kind not in _READERS:
        raise DestinationError(f"must be one of: {', '.join(_READERS)}", field="delivery.type")
    return _READERS[kind](_Fields(fields))


class _Fields:
    """The fields of one destination, read one by one."""

    def __init__(self, given: Mapping[str, object]) -> None:
        self._left = {name: value for name, value in given.items() if value is not None}
        self._unknown = set(given)

    def text(
        self, *names: str, fits: re.Pattern[str] | None = None, most: int = MAX_TEXT
    ) -> str | None:
        """The text under the first of these names that is given."""
        self._unknown -= set(names)
        found = [self._left[name] for name in names if name in self._left]
        if not found:
            return None
        value = found[0]
        if not isinstance(value, str) or not 1 <= len(value) <= most:
            raise DestinationError(f"must be a text of 1 to {most} characters", field=_name(names))
        if value == MASK or value.endswith(f"/{MASK}"):
            raise DestinationError("is masked: send the secret itself", field=_name(names))
        if fits is not None and not fits.fullmatch(value):
            raise DestinationError("is not of the right form", field=_name(names))
        return value

    def required(
        self, *names: str, fits: re.Pattern[str] | None = None, most: int = MAX_TEXT
    ) -> str:
        found = self.text(*names, fits=fits, most=most)
        if found is None:
            raise DestinationError("is required", field=_name(names))
        return found

    def any(self, name: str) -> object:
        self._unknown.discard(name)
        return self._left.get(name)

    def finish(self) -> None:
        if self._unknown:
            name = min(self._unknown)[:64]
            raise DestinationError("is not a field of this destination", field=f"delivery.{name}")


def _name(names: Sequence[str]) -> str:
    return f"delivery.{names[0]}"


def _plain(kind: str) -> Callable[[_Fields], Destination]:
    def read(fields: _Fields) -> Destination:
        fields.finish()
        return Destination(kind)

    return read


def _email(fields: _Fields) -> Destination:
    recipients = fields.any("recipients")
    if isinstance(recipients, str):
        recipients = [recipients]
    fields.finish()
    _as_channel(EMAIL, {"recipients": recipients})
    return Destination(EMAIL, {"recipients": list(cast("Sequence[str]", recipients))})


def _chat(kind: str) -> Callable[[_Fields], Destination]:
    def read(fields: _Fields) -> Destination:
        url = fields.required("url", "webhook_url", most=2_048)
        fields.finish()
        _as_channel(kind, {"url": url})
        return Destination(kind, {}, {"url": url})

    return read


def _as_channel(kind: str, fields: Mapping[str, object]) -> None:
    try:
        read_channel(kind, fields)
    except WrongChannel as wrong:
        name, text = next(iter(wrong.field_errors.items()))
        verb = "" if text.startswith(("is ", "must ")) else "must be "
        raise DestinationError(verb + text, field=f"delivery.{name}") from None


def _folder(fields: _Fields) -> Destination:
    root = fields.text("root")
    path = relative(fields.text("path", "folder") or "", "delivery.path")
    fields.finish()
    return Destination(FOLDER, {"path": path, **({} if root is None else {"root": root})})


def _s3(fields: _Fields) -> Destination:
    shown: dict[str, Any] = {
        "bucket": fields.required("bucket", fits=_BUCKET),
        "prefix": _prefix(fields),
        "region": fields.text("region", fits=_REGION) or "us-east-1",
        "access_key_id": fields.required("access_key_id", "access_key", fits=_VISIBLE, most=256),
        "endpoint": _endpoint(fields.text("endpoint", "endpoint_url")),
    }
    secret = fields.required("secret_access_key", "secret_key", fits=_VISIBLE, most=256)
    fields.finish()
    return Destination(S3, _without_none(shown), {"secret_access_key": secret})


def _gcs(fields: _Fields) -> Destination:
    shown = {
        "bucket": fields.required("bucket", fits=_BUCKET),
        "prefix": _prefix(fields),
    }
    key = fields.any("service_account_key")
    if isinstance(key, str):
        try:
            key = loads(key)
        except JsonError:
            key = None
    fields.finish()
    if not isinstance(key, Mapping):
        message = "must be the JSON of a service account's key"
        raise DestinationError(message, field="delivery.service_account_key")
    names = ("client_email", "private_key", "private_key_id", "token_uri", "gcs_base_url")
    given = cast("Mapping[str, object]", key)
    kept = {n: given[n] for n in names if isinstance(given.get(n), str)}
    if given.get("disable_oauth") is True:
        kept["disable_oauth"] = True
    for name in ("client_email", "private_key"):
        if name not in kept:
            message = f"has no {name}"
            raise DestinationError(message, field="delivery.service_account_key")
    return Destination(GCS, shown, {"service_account_key": dumps(kept)})


def _azure(fields: _Fields) -> Destination:
    shown: dict[str, Any] = {
        "account": fields.required("account", "account_name", fits=_BUCKET),
        "container": fields.required("container", "container_name", fits=_BUCKET),
        "prefix": _prefix(fields),
        "endpoint": _endpoint(fields.text("endpoint")),
    }
    key = fields.required("account_key", "access_key", fits=_VISIBLE, most=256)
    fields.finish()
    return Destination(AZURE, _without_none(shown), {"account_key": key})


_READERS: Mapping[str, Callable[[_Fields], Destination]] = {
    DOWNLOAD: _plain(DOWNLOAD),
    EMAIL: _email,
    SLACK: _chat(SLACK),
    TEAMS: _chat(TEAMS),
    WEBHOOK: _plain(WEBHOOK),
    FOLDER: _folder,
    S3: _s3,
    GCS: _gcs,
    AZURE: _azure,
}
KINDS = tuple(_READERS)


def relative(path: str, name: str) -> str:
    """A path below something, without empty, hidden or upward parts. Raises DestinationError."""
    parts = [part for part in path.split("/") if part]
    for part in parts:
        if part.startswith(".") or not _PART.fullmatch(part):
            message = "must be a relative path whose parts do not begin with a dot"
            raise DestinationError(message, field=name)
    if path.startswith("/") or len(path) > 512:
        raise DestinationError("must be a relative path of at most 512 characters", field=name)
    return "/".join(parts)


def _prefix(fields: _Fields) -> str:
    """What object names begin with: no more than every store takes."""
    path = (fields.text(*_PREFIXED) or "").strip("/")
    if path and (len(path) > MAX_PREFIX or not _OBJECT.fullmatch(path)):
        message = "must be names of letters, digits and ._- between slashes"
        raise DestinationError(message, field="delivery.prefix")
    return path


def _endpoint(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        split = urlsplit(url)
        fits = split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:
        fits, split = False, urlsplit("")
    if not fits or not _VISIBLE.fullmatch(url) or "@" in split.netloc or split.query:
        raise DestinationError("must be an http or https URL", field="delivery.endpoint")
    return url.rstrip("/")


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _masked(name: str, text: str) -> str:
    if name != "url":
        return MASK
    split = urlsplit(text)
    return f"{split.scheme}://{split.netloc}/{MASK}"
