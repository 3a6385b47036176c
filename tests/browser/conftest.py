"""A real browser, for what only a browser shows: which headers it sends with a form, what a content
policy lets through, where it goes afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

PATIENCE_MS = 30_000
FLAGS = (
    "--no-sandbox",  # Chromium has none for root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "Chromium is not installed: `make services` installs it on Debian."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of a browser that has been nowhere yet. What a content policy refuses is a fault."""
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE_MS)
    made = context.new_page()
    refused: list[str] = []
    made.on(
        "console", lambda said: refused.append(said.text) if "Content Sec" in said.text else None
    )
    yield made
    context.close()
    assert refused == []
