"""Writes docs/security.md: the checks of security, and the test modules that prove each.

python tools/docs/security.py            write it
python tools/docs/security.py --check    exit 1 when it is not up to date
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "security.md"
_MARK = re.compile(r"mark\.check\((\d+)\)")

CHECKS: tuple[tuple[str, str], ...] = (
    ("V8.2.2 V8.4.1 API1", "Ids of another organization, in every route and place: 404, as for an "
     "id that does not exist"),
    ("V8.4.1", "Bodies, keys and headers that name another organization: refused, nothing written"),
    ("V8.4.1", "Aggregates, forecasts, anomalies, metrics and error texts show nothing of another "
     "organization"),
    ("V8.2.1 API5", "Every role on every route: exactly what the table of permissions says"),
    ("V8.2.3 V15.3.3 API3", "Fields that are ours to set are refused or change nothing"),
    ("V15.3.1", "Secrets, hashes and seeds are in no answer"),
    ("V8.3.2", "A role taken, a user disabled, a key revoked: refused within a second"),
    ("V2.3.4 V15.4.2 API6", "Races for a budget, an invitation, a code, the last administrator: "
     "one wins"),
    ("V1.2.4", "Injection in every field, filter, group, order and tag name: no fault of the "
     "server"),
    ("V1.2.10", "Cells of spreadsheets that begin a formula are made texts; negative numbers stay "
     "numbers"),
    ("V1.2.1 V3.2.2 V1.3.7", "Scripts and templates in names and tags are shown as they are"),
    ("V1.3.2", "Formulas of prices compute and do nothing else"),
    ("V1.3.6 V15.3.2 API7", "Nothing that users name makes the server call an internal address"),
    ("V1.3.11", "Line breaks in subjects, recipients and names of mails are refused"),
    ("V1.5.2", "No objects come out of YAML or pickle"),
    ("V1.5.1", "No XML is read, or without entities"),
    ("V1.5.3", "Duplicate keys, byte order marks, UTF-16, NaN, deep nesting: 400 on every route"),
    ("V2.2.1", "Lengths, counts, ranges, exponents and dates are bounded: 422"),
    ("V2.4.1 V6.3.1 API4", "Sign-in, tokens, resets and second factors are throttled, not only by "
     "address, and nobody is locked out for good"),
    ("V4.1.3 V15.3.4", "X-Forwarded-For, X-Real-IP, X-User-ID and Host are believed of trusted "
     "proxies alone"),
    ("V4.1.1 V3.4.4", "Content-Type with its charset and nosniff on every answer"),
    ("V4.1.4 V13.4.4", "TRACE and unknown methods: 405 with Allow"),
    ("V4.2.1", "Requests that two servers could read differently: 400, closed"),
    ("V3.4.1-6", "HSTS for a year with subdomains, a content policy, no referrer for other sites"),
    ("V3.4.2", "Pages of other origins read nothing"),
    ("V3.5.1-3", "A session changes nothing for a foreign page, and no GET changes anything"),
    ("V3.3.1-4", "Cookies are __Host-, Secure, HttpOnly, SameSite"),
    ("V5.2.1 V5.2.3", "A gigabyte, a bomb of gzip, 100,000 items: 413 before memory is used"),
    ("V5.3.2 V5.4.1-2", "Names that callers choose are no paths of files"),
    ("V6.2.1-12", "Passwords: 12 characters and more, of any kind, no known ones, not cut off"),
    ("V6.3.2 V13.2.3", "No default account, and known secrets stop the start"),
    ("V6.3.8", "Who has an account cannot be found out, by text, status or time"),
    ("V6.5.1 V6.5.5", "Codes of second factors are used once, in a narrow window"),
    ("V6.4.3 V7.5.1", "A reset does not pass the second factor; changes need the password; links "
     "work once"),
    ("V7.3 V7.4", "Sessions end: idle, absolute, on sign-out, disabling and a new password"),
    ("V9.1.2 V9.1.3", "Tokens with other algorithms, keys or headers: 401"),
    ("V9.2.1-3", "Tokens expired, early, of others or of another type: 401"),
    ("V11 V13.3.4", "Keys that sign are replaced without refusing valid tokens; public keys alone "
     "are listed"),
    ("V10.4.1", "Redirect addresses match exactly"),
    ("V10.4.2 V10.4.3", "A code is used once and briefly; used twice, its tokens are revoked"),
    ("V10.4.6", "PKCE with S256 for every client"),
    ("V10.4.4-9", "No implicit and no password grant; refresh tokens rotate and are revoked "
     "together"),
    ("V11.5.1", "Secrets have 128 bits and more of a good source"),
    ("V13.4.2 V13.4.5-6", "No debugging, no version of a server, no route that is not documented"),
    ("V14.2.1 V14.3.2", "No key in a URL; answers may not be kept"),
    ("V16.2.5 V16.3 V16.4.1 V16.5", "No secrets in logs, all authentications and denials recorded, "
     "errors tell nothing"),
)  # fmt: skip

HEAD = """\
# Security

<!-- Written by tools/docs/security.py: change it there. -->

How to run it safely: [TLS and proxies](howto/tls.md), [rate limits](howto/limits.md). `cost-ops
compliance check` judges an installation by its settings and database.

A fault of security is best told to the maintainers in private, not in a public issue.

## Checks

Each is proven by tests that are marked with its number (`@pytest.mark.check(20)`), and
`tests/security/test_inventory.py` fails when one has none. The ids are of OWASP ASVS 5.0 and of the
OWASP API Security Top 10 of 2023.

| | ids | what holds | proven by |
|---|---|---|---|
"""


def proofs() -> dict[int, list[str]]:
    """The test modules of each number."""
    found: dict[int, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for number in sorted({int(n) for n in _MARK.findall(path.read_text(encoding="utf-8"))}):
            found.setdefault(number, []).append(f"`{path.relative_to(ROOT)}`")
    return found


def page() -> str:
    found = proofs()
    rows = [
        f"| {number} | {ids} | {text}. | {', '.join(found.get(number, ()))} |\n"
        for number, (ids, text) in enumerate(CHECKS, 1)
    ]
    return HEAD + "".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    text = page()
    if parser.parse_args().check:
        return 0 if PAGE.read_text(encoding="utf-8") == text else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
