"""Whether a mail is one: RFC 5322 and 2045 for the message, and HTML that loads nothing."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser

_ONCE = ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type")
_ALLOWED = {
    "From", "To", "Subject", "Date", "Message-ID", "References", "In-Reply-To", "Importance",
    "Auto-Submitted", "X-Auto-Response-Suppress", "X-Cost-Ops-Severity", "X-Cost-Ops-Moment",
    "X-Cost-Ops-Alert", "MIME-Version", "Content-Type",
}  # fmt: skip
_TAGS = {
    "html", "head", "meta", "title", "style", "body", "div", "span", "table", "tr", "td", "th",
    "a",
}  # fmt: skip
_ID = re.compile(r"<[!-;=?-~]+@[!-;=?-~]+>")


def faults(raw: bytes) -> list[str]:
    """What is wrong with a mail as it goes over the wire."""
    found = list[str]()
    if re.search(rb"(?<!\r)\n|\r(?!\n)", raw):
        found.append("a bare CR or LF")
    if any(len(each) > 998 for each in raw.split(b"\r\n")):
        found.append("a line is longer than 998")
    if not raw.isascii() or b"\0" in raw:
        found.append("not ASCII")
    mail = message_from_bytes(raw, policy=default)
    assert isinstance(mail, EmailMessage)
    names = mail.keys()
    found += [f"{name} is not there once" for name in _ONCE if names.count(name) != 1]
    found += [f"header {name}" for name in names if name not in _ALLOWED]
    found += [f"defect {defect}" for defect in mail.defects]
    for name in ("Message-ID", "References", "In-Reply-To"):
        if name in mail and not _ID.fullmatch(str(mail[name])):
            found.append(f"{name}: {mail[name]}")
    found += [
        f"{name} has a control character"
        for name, value in mail.items()
        if re.search(r"[\x00-\x1f\x7f]", str(value))
    ]
    parts = [part.get_content_type() for part in mail.walk()]
    if parts != ["multipart/alternative", "text/plain", "text/html"]:
        found.append(f"parts {parts}")
    return found


def texts(raw: bytes) -> tuple[str, str]:
    """The text and the HTML of a mail."""
    mail = message_from_bytes(raw, policy=default)
    assert isinstance(mail, EmailMessage)
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content().replace("\r\n", "\n"), html.get_content().replace("\r\n", "\n")


class Page(HTMLParser):
    """What a mail client sees of HTML: its texts in order, where it links to, what is wrong."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.links: list[str] = []
        self.faults: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        if self._open:
            self.faults.append(f"not closed: {self._open}")
        if re.search(r"url\(|@import|expression\(", html):
            self.faults.append("loads something")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _TAGS:
            self.faults.append(f"tag {tag}")
        for name, value in attrs:
            if name.startswith("on") or name in ("src", "background", "srcset", "poster"):
                self.faults.append(f"attribute {name}")
            if name == "href":
                self.links.append(value or "")
        if tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"closes {tag}")

    def handle_data(self, data: str) -> None:
        if data.strip() and "style" not in self._open:
            self.texts.append(data.strip())

    def handle_comment(self, data: str) -> None:
        self.faults.append("comment")
