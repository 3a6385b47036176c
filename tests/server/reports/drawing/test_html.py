"""HTML: one file that runs nothing and asks nobody."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from llm_cost_ops.core.report.document import Document
from llm_cost_ops.server.reports.drawing import draw
from tests.server.reports.drawing import documents

VOID = {"meta", "img", "rect", "polyline", "polygon", "circle", "link", "br"}


class Page(HTMLParser):
    """Tags with their attributes, and the text between them; every tag must be closed."""

    def __init__(self, document: Document) -> None:
        super().__init__()
        self.raw = draw(document, "html").decode()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(self.raw)
        self.close()
        self.text = "".join(self.texts)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def full() -> Page:
    return Page(documents.full())


def test_tables_have_captions_and_heads_that_say_what_they_are_of(full: Page) -> None:
    assert len(full.named("caption")) == len(full.named("table"))
    scopes = {each.get("scope") for each in full.named("th")}
    assert scopes == {"col", "row"}
    assert full.named("html") == [{"lang": "en"}]
    for figure in ("1,234,567.8912345678", "57,142.12", "unknown", "+12.3 %"):
        assert figure in full.text


def test_charts_are_inside_and_said_in_words(full: Page) -> None:
    assert len(full.named("svg")) == 5
    said = {each["aria-label"] for each in full.named("div") if each.get("role") == "img"}
    assert "Monthly cost rises from January to December." in said


def test_contents_lead_to_sections(full: Page) -> None:
    leads = [each["href"] for each in full.named("a")]
    assert leads == [f"#section-{at}" for at in range(1, 7)]
    ids = {f"#{each['id']}" for each in full.named("h2") if "id" in each}
    assert set(map(str, leads)) <= ids


@pytest.mark.parametrize("document", [documents.full(), documents.hostile(), documents.empty()])
def test_nothing_runs_and_nothing_is_fetched(document: Document) -> None:
    page = Page(document)
    tags = {name for name, _ in page.tags}
    assert not tags & {
        "script",
        "iframe",
        "object",
        "embed",
        "form",
        "link",
        "base",
        "image",
        "use",
    }
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("href", "src"):
            assert str(attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
    style = page.raw.split("<style>")[1].split("</style>")[0]
    assert not re.search(r"url\(|@import", style)
    policy = next(each for each in page.named("meta") if "http-equiv" in each)
    assert str(policy["content"]).startswith("default-src 'none'")


def test_hostile_texts_are_text() -> None:
    page = Page(documents.hostile())
    assert "<script>alert(1)</script><img src=x onerror=alert(1)>" in page.text
    assert "{{7*7}}" in page.text
    assert "x" * 10_000 in page.text
    assert "\u202e" not in page.raw
    assert "\x07" not in page.raw


def test_the_same_document_is_the_same_file(full: Page) -> None:
    assert draw(documents.full(), "html").decode() == full.raw
