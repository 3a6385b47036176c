"""Where values come from: the file, the environment, the flags; unknown names are found here."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from llm_cost_ops.server.settings.files import (
    FileProblem,
    UnsetVariable,
    interpolate,
    read_file,
    search_order,
)
from llm_cost_ops.server.settings.pending import VARIABLES, is_pending
from llm_cost_ops.server.settings.schema import SETTINGS
from llm_cost_ops.server.settings.spec import WrongValue, coerce

_NOT_SETTINGS = (
    "COST_OPS_API_KEY",
    "COST_OPS_API_URL",
    "COST_OPS_CONFIG",
    "COST_OPS_CREDENTIALS",
    "COST_OPS_SHARED",
    "COST_OPS_TEST_",
)
"""Beginnings of names that share our prefix but belong to the CLI, the SDK or the tests."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value as it was given, and where; `unset_variable` is a `${VAR}` that is not set, `hidden`
    whether it is never shown."""

    raw: object
    source: str
    unset_variable: str | None = None
    hidden: bool = False


@dataclass(slots=True)
class Findings:
    """What is to be told: problems stop the start, notes do not, `unused` maps names to sources."""

    problems: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    unused: dict[str, str] = field(default_factory=dict[str, str])


def find_file(
    config: Path | None,
    variables: Mapping[str, str],
    directory: Path,
    home: Path,
    found: Findings,
) -> Path | None:
    named = str(config) if config is not None else variables.get("COST_OPS_CONFIG")
    if named is not None:
        if named.lower() == "none":
            return None
        path = directory / Path(named).expanduser()
        if not path.is_file():
            source = "--config" if config is not None else "env COST_OPS_CONFIG"
            found.problems.append(f"{path}: there is no such settings file ({source})")
            return None
        return path
    stage = _stage(variables)
    for path in search_order(stage, directory, home):
        if path.is_file():
            return path
    return None


def _stage(variables: Mapping[str, str]) -> str:
    """The stage that names config/<stage>.yaml: only defaults and the environment can tell it."""
    setting = next(s for s in SETTINGS if s.path == "app.environment")
    named = next((variables[name] for name in setting.variables if name in variables), None)
    try:
        return str(coerce(setting, named)) if named else str(setting.default)
    except WrongValue:
        return str(setting.default)


def from_file(
    path: Path | None, variables: Mapping[str, str], found: Findings
) -> dict[str, Candidate]:
    if path is None:
        return {}
    try:
        content = read_file(path)
    except FileProblem as problem:
        found.problems.append(str(problem))
        return {}
    by_path = {name: setting for setting in SETTINGS for name in setting.paths}
    chosen: dict[str, Candidate] = {}
    for key, raw in content.items():
        source = f"file {path} {_bracketed(key)}"
        setting = by_path.get(key)
        if setting is not None and raw is None:
            continue  # `key:` without a value
        if setting is None:
            if is_pending(key):
                found.unused[key] = source
            elif raw not in ({}, None):
                found.problems.append(f"{path}: unknown key {_bracketed(key)}{_hint(key, by_path)}")
            continue
        try:
            candidate = Candidate(interpolate(raw, variables), source)
        except UnsetVariable as unset:
            candidate = Candidate(None, source, unset.name)
        earlier = chosen.get(setting.path)
        if earlier is not None and earlier.raw != candidate.raw:
            found.problems.append(
                f"{path}: {_bracketed(key)} and {earlier.source.rpartition(' ')[2]} "
                "are the same setting with different values"
            )
        chosen.setdefault(setting.path, candidate)
    return chosen


def _hint(key: str, known: Iterable[str]) -> str:
    last = key.rpartition(".")[2]
    near = [name for name in known if name.rpartition(".")[2] == last]
    return f"; did you mean {_bracketed(near[0])}?" if near else ""


def _bracketed(key: str) -> str:
    section, dot, name = key.rpartition(".")
    return f"[{section}].{name}" if dot else key


def from_environ(variables: Mapping[str, str], found: Findings) -> dict[str, Candidate]:
    chosen: dict[str, Candidate] = {}
    known: set[str] = set()
    for setting in SETTINGS:
        known.update(setting.variables)
        if setting.spec.secret or setting.spec.url:
            known.update(f"{name}_FILE" for name in setting.variables)
        for name in setting.variables:
            if name in variables:
                chosen.setdefault(setting.path, Candidate(variables[name], f"env {name}"))
    for name in sorted(variables):
        if name in VARIABLES:
            found.unused[name] = f"env {name}"
        elif name.startswith("COST_OPS_") and name not in known:
            if not name.startswith(_NOT_SETTINGS):
                found.notes.append(f"env {name} is not a setting and was ignored")
    return chosen


def from_flags(flags: Mapping[str, object]) -> dict[str, Candidate]:
    by_path = {setting.path: setting for setting in SETTINGS}
    given = {path: value for path, value in flags.items() if value is not None}
    return {
        path: Candidate(
            list(typing.cast("tuple[object]", value)) if isinstance(value, tuple) else value,
            f"flag {by_path[path].spec.flag or path}",
        )
        for path, value in given.items()
    }
