"""Writes docs/reference/cli.md from the help of the commands.

python tools/docs/cli.py            write it
python tools/docs/cli.py --check    exit 1 when it is not up to date
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path

from llm_cost_ops.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "cli.md"
WIDTH = "80"

INTRODUCTION = """\
# Command line

<!-- Written by tools/docs/cli.py from the commands' own help: change it there. -->

`cost-ops` and `llm-cost-ops` are the same program. It works on the local database, or with
`--api-url` (or `COST_OPS_API_URL`) on a server, with the same commands and answers. `estimate`,
`forecast`, `pricing diff`, `completion` and `version` need neither.

| exit code | |
|---|---|
| 0 | done |
| 1 | failed in part or whole: a record was refused, `verify` found a difference |
| 2 | wrong arguments or settings |
| 3 | not allowed: no key, an unknown one, or one without the permission |
| 4 | the API refused, or the server did not answer |
| 5 | the database cannot be used |
| 130 | interrupted |

Results go to standard output, everything else to standard error. An error is one line,
`Error [CODE]: what is wrong`, with the stable code of the API. `-vv` adds the traceback and logs.

With `-o json` a list is the answer of the API, `{"data": [..], "has_more": ..}`; `jsonl`, `csv` and
`yaml` are its rows. Amounts have all their digits in every format. In a table an unknown cost is
the word `unpriced`; in JSON it is null, in CSV empty.

The shared options, listed under `cost-ops`, may stand before or after a command.
"""


def help_of(path: Sequence[str]) -> str:
    """What `cost-ops PATH --help` prints."""
    shown = io.StringIO()
    with redirect_stdout(shown):
        code = app.run([*path, "--help"])
    if code != 0:
        raise RuntimeError(f"{' '.join(path)} --help ended with {code}")
    return shown.getvalue().rstrip()


def paths_of(command: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """A command and all below it that are not hidden."""
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            yield from paths_of(inner, (*path, name))


def page() -> str:
    """The whole page."""
    sections = [INTRODUCTION, _section(())]
    for name, (place, _) in app.COMMANDS.items():
        sections += [_section(path) for path in paths_of(app.load(name, place), (name,))]
    return "\n".join(sections)


def _section(path: tuple[str, ...]) -> str:
    title = " ".join(("cost-ops", *path))
    return f"{'#' * min(2 + max(len(path) - 1, 0), 4)} {title}\n\n```text\n{help_of(path)}\n```\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    # The page must not depend on who writes it, and where.
    os.environ["COLUMNS"], sys.argv = WIDTH, ["cost-ops"]
    made = page()
    if not check:
        PAGE.write_text(made, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == made:
        return 0
    print(f"{PAGE.relative_to(ROOT)} is not up to date: run tools/docs/cli.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
