"""Nothing committed names the machine it was written on.

Prevents a checkout that works in one place only: an absolute path or the address of somebody's
package mirror fails, or leaks, the moment the repository is cloned elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools.lint.source import Finding, Source

NAME = "no-workplace"
# Written so that the patterns do not match this file.
_PLACES = re.compile(r"(?<![\w.~/-])/(?:work|root)(?=/)")
_MIRROR_HOST = r"artifactory|devpi|nexus|mirrors?\b|pypi\.(?!org\b)|registry\.(?!npmjs\.org\b)"
_MIRRORS = re.compile(rf"https?://[\w.:@-]*?(?:{_MIRROR_HOST})[\w.-]*", re.IGNORECASE)


def check(source: Source) -> Iterator[Finding]:
    for number, line in enumerate(source.lines, start=1):
        if place := _PLACES.search(line):
            yield Finding(source.path, number, NAME, f"absolute path {place[0]}/ of one machine")
        if mirror := _MIRRORS.search(line):
            yield Finding(source.path, number, NAME, f"address of a package mirror: {mirror[0]}")
