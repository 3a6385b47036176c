"""Writes docs/reference/bi-views.md: the views for SQL tools and their columns.

python tools/docs/bi_views.py            write it
python tools/docs/bi_views.py --check    exit 1 when it is not up to date
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from llm_cost_ops.server.bi.views import VIEWS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reference/bi-views.md"

HEAD = """\
# Views for SQL tools

<!-- Written by tools/docs/bi_views.py from the code: change it there. -->

`cost-ops bi install` makes these views for one organization. Names and columns stay; the tables
behind them do not. New columns are added at the end. How to use them:
[Business intelligence](../howto/business-intelligence.md).

| kind | PostgreSQL | MySQL, MariaDB | SQLite |
|---|---|---|---|
| money | `numeric(38,10)` | `decimal(38,10)` | text, all digits |
| count | `bigint` | `bigint` | integer |
| instant | `timestamptz` | `datetime(6)`, UTC | text, UTC, to the second |
| day | `date` | `date` | text |
| text | `varchar` | `varchar` | text |
| units | no such column | no such column | integer: the money times 10,000,000,000 |

Amounts of several currencies are never added: group by `currency`. The column `rate` of
`bi_exchange_rates` has twenty places.

On SQLite, `SUM` of a money column is a binary number and wrong in its last digits: sum its units.
"""


def page() -> str:
    """The page."""
    return "\n".join([HEAD.rstrip(), *_views()]) + "\n"


def _views() -> Iterator[str]:
    for name, (meaning, columns) in VIEWS.items():
        yield f"\n## {name}\n\n{meaning}\n\n| column | kind | |\n|---|---|---|"
        yield from (f"| `{each.name}` | {each.kind} | {each.meaning} |" for each in columns)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
