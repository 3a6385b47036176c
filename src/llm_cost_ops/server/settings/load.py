"""Settings from defaults < file < environment < flags, each value remembered with its source."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_cost_ops.server.settings.mask import shown
from llm_cost_ops.server.settings.schema import SECTIONS, SETTINGS, Settings
from llm_cost_ops.server.settings.sources import (
    Candidate,
    Findings,
    find_file,
    from_environ,
    from_file,
    from_flags,
)
from llm_cost_ops.server.settings.spec import Setting, WrongValue, coerce, expected_form


class SettingsError(Exception):
    """Every wrong setting at once, each with its source and the expected form."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def load_settings(
    *,
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    directory: Path | None = None,
    home: Path | None = None,
) -> Settings:
    """Settings of this process; raises `SettingsError` that names every wrong one.

    `config` is the file named by --config; without it COST_OPS_CONFIG, then the search order. The
    name `none` reads no file. `flags` maps a setting's path (`server.port`) to a value, None where
    the flag was not given. An environment variable that is empty counts as not set.
    """
    variables = {n: v for n, v in (os.environ if environ is None else environ).items() if v.strip()}
    found = Findings()
    file = find_file(config, variables, directory or Path.cwd(), home or Path.home(), found)
    layers = (
        from_flags(flags or {}),
        from_environ(variables, found),
        from_file(file, variables, found),
    )
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for setting in SETTINGS:
        candidate = next((layer[setting.path] for layer in layers if setting.path in layer), None)
        values[setting.path], origins[setting.path] = _chosen(setting, candidate, found)
    if not found.problems:
        found.problems.extend(_contradictions(values, origins))
    if found.problems:
        raise SettingsError(found.problems)
    sections = {
        name: kind(**{s.key: values[s.path] for s in SETTINGS if s.section == name})
        for name, kind in SECTIONS.items()
    }
    return Settings(
        **sections, origins=origins, unused=found.unused, notes=tuple(found.notes), file=file
    )


def _chosen(setting: Setting, candidate: Candidate | None, found: Findings) -> tuple[Any, str]:
    if candidate is None:
        return setting.default, "default"
    if candidate.unset_variable is not None:
        text = f"{candidate.source} refers to ${{{candidate.unset_variable}}}, which is not set"
        if setting.optional:
            found.notes.append(f"{text}; {setting.path} is left unset")
        else:
            found.problems.append(
                f"{setting.path}: {text}; set it or give a default: "
                f"${{{candidate.unset_variable}:{_example(setting)}}}"
            )
        return setting.default, "default"
    try:
        return coerce(setting, candidate.raw), candidate.source
    except WrongValue as wrong:
        value = shown(setting, candidate.raw)
        found.problems.append(
            f"{setting.path}: {value!r} from {candidate.source} is wrong; expected {wrong}"
        )
        return setting.default, "default"


def _example(setting: Setting) -> str:
    return expected_form(setting) if setting.default is None else str(setting.default)


def _contradictions(values: Mapping[str, Any], origins: Mapping[str, str]) -> list[str]:
    """Values that are right alone and wrong together."""
    wrong: list[str] = []
    certificate, key = values["server.tls_cert_file"], values["server.tls_key_file"]
    if (certificate is None) != (key is None):
        given = "server.tls_key_file" if certificate is None else "server.tls_cert_file"
        wrong.append(
            f"{given} (from {origins[given]}) is set alone; "
            "expected server.tls_cert_file and server.tls_key_file together"
        )
    if values["cors.credentials"] and "*" in values["cors.origins"]:
        wrong.append(
            f"cors.credentials (from {origins['cors.credentials']}) cannot be combined with the "
            f"origin * (from {origins['cors.origins']}); expected the origins by name"
        )
    if values["rate_limit.storage"] == "redis" and values["redis.url"] is None:
        wrong.append(f"{_storage(origins)} redis needs redis.url, which is not set")
    if values["rate_limit.storage"] == "memcached" and values["rate_limit.memcached_url"] is None:
        wrong.append(f"{_storage(origins)} memcached needs rate_limit.memcached_url; it is not set")
    return wrong


def _storage(origins: Mapping[str, str]) -> str:
    return f"rate_limit.storage (from {origins['rate_limit.storage']})"
