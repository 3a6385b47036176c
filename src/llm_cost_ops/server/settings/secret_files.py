"""Secrets in files: `NAME_FILE` variables, and folders with a file for each secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from llm_cost_ops.server.settings.references import MAX_SECRET_CHARACTERS
from llm_cost_ops.server.settings.schema import SETTINGS
from llm_cost_ops.server.settings.sources import Candidate, Findings
from llm_cost_ops.server.settings.spec import Setting

_SUFFIX = "_FILE"


def from_named_files(variables: Mapping[str, str], found: Findings) -> dict[str, Candidate]:
    """Values of the files that `SECRET_KEY_FILE`, `DATABASE_URL_FILE` and the like name: any
    variable of a setting that is a secret or may have one in it."""
    chosen: dict[str, Candidate] = {}
    for setting in SETTINGS:
        if not (setting.spec.secret or setting.spec.url):
            continue
        for name in setting.variables:
            path = variables.get(name + _SUFFIX)
            if path is None:
                continue
            if name in variables:
                found.problems.append(
                    f"{setting.path}: {name} and {name}{_SUFFIX} are both set; expected one"
                )
                continue
            source = f"env {name}{_SUFFIX} ({path})"
            text = _content(Path(path), f"{setting.path}: {source}", found)
            if text is not None:
                chosen.setdefault(setting.path, Candidate(_listed(setting, text), source))
    return chosen


def from_directory(directory: str | None, found: Findings) -> dict[str, Candidate]:
    """Values of the files of a folder that are named for a setting or one of its variables."""
    if directory is None:
        return {}
    try:
        files = {path.name.casefold(): path for path in _files(Path(directory))}
    except OSError as error:
        found.problems.append(f"secrets.directory: {directory} cannot be read: {error.strerror}")
        return {}
    chosen: dict[str, Candidate] = {}
    for setting in SETTINGS:
        names = (*setting.paths, *setting.variables)
        path = next((files[name.casefold()] for name in names if name.casefold() in files), None)
        if path is None or setting.section == "secrets":
            continue
        text = _content(path, f"{setting.path}: file {path}", found)
        if text is not None:
            candidate = Candidate(_listed(setting, text), f"secret file {path}", hidden=True)
            chosen[setting.path] = candidate
    return chosen


def _files(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        if not path.name.startswith(".") and path.is_file():
            yield path


def _content(path: Path, said: str, found: Findings) -> str | None:
    """The text without the line end that editors and `echo` leave; None when it cannot be had."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_SECRET_CHARACTERS + 1)
    except OSError as error:
        found.problems.append(f"{said} cannot be read: {error.strerror}")
        return None
    except UnicodeDecodeError:
        found.problems.append(f"{said} is not UTF-8 text")
        return None
    text = text.rstrip("\r\n")
    if not text.strip() or len(text) > MAX_SECRET_CHARACTERS:
        wrong = "is empty" if not text.strip() else "is too long for a secret"
        found.problems.append(f"{said} {wrong}")
        return None
    return text


def _listed(setting: Setting, text: str) -> object:
    """Of a list each line is an item."""
    if setting.kind is not tuple or "\n" not in text:
        return text
    return [line.strip() for line in text.splitlines() if line.strip()]
