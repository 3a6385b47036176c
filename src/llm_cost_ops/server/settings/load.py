"""Settings from defaults < file < secrets folder < environment < flags, each with its source."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_cost_ops.server.settings.mask import MASK, shown
from llm_cost_ops.server.settings.references import (
    Resolver,
    SecretProblem,
    named,
    references_in,
)
from llm_cost_ops.server.settings.safety import known_secrets
from llm_cost_ops.server.settings.schema import SECTIONS, SETTINGS, Settings
from llm_cost_ops.server.settings.secret_files import from_directory, from_named_files
from llm_cost_ops.server.settings.sources import (
    Candidate,
    Findings,
    find_file,
    from_environ,
    from_file,
    from_flags,
)
from llm_cost_ops.server.settings.spec import Setting, WrongValue, coerce, expected_form
from llm_cost_ops.server.settings.stores import stores_of

_SECRETS = "secrets"


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
        from_named_files(variables, found),
        from_file(file, variables, found),
    )
    given = _Given(found)
    for setting in SETTINGS:
        if setting.section == _SECRETS:
            given.take(setting, layers)
    secrets = _sections(given.values, (_SECRETS,))[_SECRETS]
    layers = (*layers[:3], from_directory(secrets.directory, found), layers[3])
    given.resolver = Resolver(stores_of(secrets))
    for setting in SETTINGS:
        if setting.section != _SECRETS:
            given.take(setting, layers)
    values, origins = given.values, given.origins
    if not found.problems:
        found.problems.extend(_contradictions(values, origins))
        found.problems.extend(known_secrets(values, origins))
    if found.problems:
        raise SettingsError(found.problems)
    return Settings(
        **_sections(values, SECTIONS),
        origins=origins,
        unused=found.unused,
        notes=tuple(found.notes),
        hidden=frozenset(given.hidden),
        file=file,
    )


def _sections(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {
        name: SECTIONS[name](**{s.key: values[s.path] for s in SETTINGS if s.section == name})
        for name in names
    }


class _Given:
    """The values as they are found; wrong ones become problems and stand at their defaults."""

    def __init__(self, found: Findings) -> None:
        self._found = found
        self.resolver: Resolver | None = None
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.hidden: set[str] = set()

    def take(self, setting: Setting, layers: Sequence[Mapping[str, Candidate]]) -> None:
        """The value of the first layer that has one."""
        path = setting.path
        candidate = next((layer[path] for layer in layers if path in layer), None)
        self.values[path], self.origins[path] = setting.default, "default"
        if candidate is None or self._is_unset(setting, candidate):
            return
        try:
            raw, source = self._resolved(setting, candidate)
            self.values[path], self.origins[path] = coerce(setting, raw), source
        except SecretProblem as problem:
            self._found.problems.append(f"{path} (from {candidate.source}): {problem}")
        except WrongValue as wrong:
            hidden = path in self.hidden
            value = MASK if hidden else shown(setting, candidate.raw)
            self._found.problems.append(
                f"{path}: {value!r} from {candidate.source} is wrong; expected {wrong}"
            )

    def _resolved(self, setting: Setting, candidate: Candidate) -> tuple[object, str]:
        """The value with what it refers to in it, and where it came from. Raises SecretProblem."""
        if candidate.hidden:
            self.hidden.add(setting.path)
        references = references_in(candidate.raw)
        if not references:
            return candidate.raw, candidate.source
        if self.resolver is None:
            raise SecretProblem("settings of secrets managers cannot refer to them")
        self.hidden.add(setting.path)
        raw = self.resolver.resolved(candidate.raw, url=setting.spec.url)
        return raw, f"{candidate.source}: {named(references)}"

    def _is_unset(self, setting: Setting, candidate: Candidate) -> bool:
        if candidate.unset_variable is None:
            return False
        text = f"{candidate.source} refers to ${{{candidate.unset_variable}}}, which is not set"
        if setting.optional:
            self._found.notes.append(f"{text}; {setting.path} is left unset")
        else:
            self._found.problems.append(
                f"{setting.path}: {text}; set it or give a default: "
                f"${{{candidate.unset_variable}:{_example(setting)}}}"
            )
        return True


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
