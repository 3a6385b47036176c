"""Writes docs/reference/settings.md and config.example.toml from the settings themselves.

python tools/docs/settings.py            write both
python tools/docs/settings.py --check    exit 1 when one is not up to date
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from llm_cost_ops.server.settings.pending import FILE_KEYS, VARIABLES
from llm_cost_ops.server.settings.schema import SECTIONS, SETTINGS
from llm_cost_ops.server.settings.spec import Setting, expected_form

ROOT = Path(__file__).resolve().parents[2]

INTRODUCTION = """\
# Settings

<!-- Written by tools/docs/settings.py from the code: change it there. -->

A value is taken from the first of these that has it:

1. a command-line flag (`--port 9000`);
2. an environment variable; one that is empty counts as not set;
3. the file that the same variable with `_FILE` names (`SECRET_KEY_FILE`), for secrets and URLs;
4. a file of the folder `secrets.directory`;
5. the settings file;
6. the default.

`cost-ops config show` prints every setting with its value and where it came from. Secrets, and
passwords in URLs, are shown as `***`. A wrong value stops the start with its source and the
expected form; all wrong values are named at once.

## The settings file

TOML, YAML or JSON, by its name. The first that exists is read: `--config FILE`, `COST_OPS_CONFIG`
(the value `none` reads no file), `./cost-ops.toml`, `./config.toml`,
`./config/<environment>.{yaml,yml,json}`, then `config` or `<environment>` with `.toml`, `.yaml`,
`.yml` or `.json` in `/app/config`, `~/.config/cost-ops`, `/etc/cost-ops` and `/etc/llm-cost-ops`.

In any text `${NAME}` is replaced by the environment variable, `${NAME:default}` and
`${NAME:-default}` give a default, and `$${` is a plain `${`. Numbers and booleans may be quoted:
`pool_size = "${DATABASE_POOL_SIZE:20}"`. A `${NAME}` that is not set is an error, except for a
setting that may be left unset.

An unknown key is an error that names the file and the key.

A value, or `${..}` in one, may refer to a secret of AWS Secrets Manager (`aws-sm://NAME#FIELD`) or
HashiCorp Vault (`vault://PATH#FIELD`): [docs/howto/secrets.md](../howto/secrets.md).
"""

PENDING = """\
## Accepted, not used yet

These documented names are accepted, so that a documented file loads, and `cost-ops config show`
lists those that are given. Nothing reads them in this release.
"""

EXAMPLE = """\
# Every setting with its default. Uncomment what you change; `cost-ops config show` tells what is
# in force. Written by tools/docs/settings.py from the code; docs/reference/settings.md says more.
"""


def page() -> str:
    parts = [INTRODUCTION]
    for section, kind in SECTIONS.items():
        title, _, rest = (kind.__doc__ or "").partition(": ")
        about = rest.strip()
        parts.append(f"## {title.strip()}\n\n{about[:1].upper()}{about[1:]}\n")
        parts.extend(_entry(setting) for setting in SETTINGS if setting.section == section)
    parts.append(f"{PENDING}\nKeys: {_names(FILE_KEYS)}\n\nVariables: {_names(VARIABLES)}\n")
    return "\n".join(parts)


def _entry(setting: Setting) -> str:
    spec = setting.spec
    lines = [f"### {setting.path}\n", f"{spec.doc}\n"]
    lines.append(f"- Default: {_default(setting)}")
    lines.append(f"- Form: {expected_form(setting)}")
    if spec.flag:
        lines.append(f"- Flag: `{spec.flag}`")
    lines.append(f"- Environment: {', '.join(f'`{name}`' for name in setting.variables)}")
    if spec.files:
        lines.append(f"- Also in files: {', '.join(f'`{name}`' for name in spec.files)}")
    return "\n".join(lines) + "\n"


def _default(setting: Setting) -> str:
    if setting.default is None:
        return "not set"
    return f"`{_toml(setting.default)}`"


def _names(names: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) + "."


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def example() -> str:
    return "\n".join(_example_lines()) + "\n"


def _example_lines() -> Iterator[str]:
    yield EXAMPLE.rstrip()
    section = ""
    for setting in SETTINGS:
        if setting.section != section:
            section = setting.section
            yield f"\n[{section}]"
        first_sentence = setting.spec.doc.partition(". ")[0].removesuffix(".")
        yield from (f"# {line}" for line in _wrapped(first_sentence, 98))
        value = '""' if setting.default is None else _toml(setting.default)
        yield f"# {setting.key} = {value}"


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


OUTPUTS = {ROOT / "docs/reference/settings.md": page, ROOT / "config.example.toml": example}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing, exit 1 on a difference"
    )
    check = parser.parse_args(arguments).check
    stale = [
        path
        for path, make in OUTPUTS.items()
        if not path.exists() or path.read_text(encoding="utf-8") != make()
    ]
    if check:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(ROOT)} is not up to date: run {__file__}\n")
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(OUTPUTS[path](), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
