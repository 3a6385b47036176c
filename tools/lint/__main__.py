"""Apply every rule to every file of the repository; exit 1 when one is broken."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.lint import (
    locks,
    no_commit,
    no_float_money,
    no_workplace,
    plain_words,
    room_names,
    size,
    tenant_scope,
)
from tools.lint.source import Finding, Source, load

RULES = (
    no_commit,
    tenant_scope,
    no_float_money,
    room_names,
    size,
    no_workplace,
    plain_words,
    locks,
)
UNSILENCED = {size.NAME, room_names.NAME, locks.NAME}  # no line can be excused from these


def findings(sources: Sequence[Source]) -> Iterator[Finding]:
    for source in sources:
        for rule in RULES:
            for finding in rule.check(source):
                if rule.NAME in UNSILENCED or not source.allows(rule.NAME, finding.line):
                    yield finding
    yield from locks.check_all(sources)


def main(root: Path) -> int:
    sources = list(load(root))
    broken = sorted(findings(sources), key=lambda finding: (finding.path, finding.line))
    for finding in broken:
        print(finding)
    print(size.summary(sources))
    print(f"tools.lint: {len(sources)} files, {len(RULES)} rules, {len(broken)} findings")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[2]))
