"""README and how-to pages: every command and Python block runs as printed, in the page's order.

A console block's `$` lines are run by one shell; lines below a command must be in its output. A
block with a file name after its language is that file. `print(..)  # text` must print the text.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.warm_program import WarmProgram

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "tests" / "importers" / "samples"
PAGES = ["README.md", *(f"docs/howto/{page.name}" for page in (ROOT / "docs/howto").glob("*.md"))]
COLD = "README.md"
"""Its commands start anew each time, as a user's do."""
SET_UP = ("make ", "pip ", "python3 -m venv ")
PORT = "8080"
IMPORT_ID = "imp_01K9ZW3D1M0000000000000000"
SECONDS = 900
_FENCE = re.compile(r"^```(\w+) ?(.*)$")
_PRINTS = re.compile(r"print\(.*\)  # (.+)$")
_LINK = re.compile(r"\]\(([^)#:]+)\)")

pytestmark = pytest.mark.slow


@dataclass
class Step:
    """A command of the page and lines that its output must have."""

    command: str
    expected: list[str] = field(default_factory=list[str])


@dataclass
class Page:
    files: dict[str, str] = field(default_factory=dict[str, str])
    steps: list[Step] = field(default_factory=list[Step])


def blocks_of(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """Language, the rest of the opening line, and the lines of each fenced block."""
    opened: tuple[str, str] | None = None
    lines: list[str] = []
    for line in text.splitlines():
        if opened is None:
            if match := _FENCE.match(line):
                opened, lines = (match[1], match[2].strip()), []
        elif line == "```":
            yield (*opened, lines)
            opened = None
        else:
            lines.append(line)


def page_of(name: str, port: str) -> Page:
    page = Page()
    text = (ROOT / name).read_text(encoding="utf-8").replace(PORT, port)
    for number, (language, title, lines) in enumerate(blocks_of(text)):
        if language == "console":
            page.steps += steps_of(lines)
        elif language == "python":
            page.files[f"block{number}.py"] = "\n".join(lines) + "\n"
            printed = [match[1] for line in lines if (match := _PRINTS.search(line))]
            page.steps.append(Step(f"python block{number}.py", printed))
        elif title:
            page.files[title] = "\n".join(lines) + "\n"
    return page


def steps_of(lines: list[str]) -> list[Step]:
    steps: list[Step] = []
    for line in lines:
        if line.startswith("$ "):
            steps.append(Step(line.removeprefix("$ ")))
        else:
            steps[-1].expected.append(line)
    return [step for step in steps if not step.command.startswith(SET_UP)]


def script_of(page: Page, port: str) -> str:
    """The steps as one bash script that stops at the first failure."""
    lines = [
        "set -eo pipefail",
        "last() { cost-ops imports list -o csv | sed -n '2s/,.*//p'; }",
        "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT",
    ]
    for number, step in enumerate(page.steps):
        lines.append(f"printf '\\n@@{number}\\n'")
        lines.append(step.command.replace(IMPORT_ID, '"$(last)"'))
        if step.command.endswith("&"):
            health = f"cost-ops health --api-url http://127.0.0.1:{port}"
            lines.append(f"until {health} >/dev/null 2>&1; do sleep 0.2; done")
    return "\n".join([*lines, "printf '\\n@@end\\n'"]) + "\n"


def environment_of(place: Path, warm: WarmProgram | None) -> dict[str, str]:
    """A new user's: an empty home but for agents' logs, and our programs on the path."""
    programs = place / "bin"
    programs.mkdir()
    for name, arguments in (("cost-ops", "-m llm_cost_ops.cli"), ("python", "")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        program.chmod(0o755)
    if warm is not None:
        (programs / "cost-ops").unlink()
        (programs / "cost-ops").symlink_to(warm.program)
    log = place / "home" / ".claude" / "projects" / "-home-dev-shop" / "session.jsonl"
    log.parent.mkdir(parents=True)
    shutil.copy(SAMPLES / "claude_code.jsonl", log)
    return {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(place / "home"),
        "COST_OPS_CONFIG": "none",
        "LANG": "C.UTF-8",
    }


def run_script(script: str, work: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Exit code and output; whatever it started is gone afterwards."""
    shell = subprocess.Popen(
        ["bash", "-c", script],
        cwd=work,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        told, _ = shell.communicate(timeout=SECONDS)
        return shell.returncode, told
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def warm_program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmProgram]:
    with WarmProgram(tmp_path_factory.mktemp("warm")) as warm:
        yield warm


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.skipif(not shutil.which("bash") or not shutil.which("curl"), reason="no bash or curl")
@pytest.mark.parametrize("name", PAGES)
def test_the_page_runs_as_printed(name: str, tmp_path: Path, warm_program: WarmProgram) -> None:
    port = free_port()
    page = page_of(name, port)
    assert page.steps
    work = tmp_path / "work"
    work.mkdir()
    for file, content in page.files.items():
        (work / file).write_text(content, encoding="utf-8")
    warm = None if name == COLD else warm_program
    code, told = run_script(script_of(page, port), work, environment_of(tmp_path, warm))
    assert code == 0, told
    outputs = re.split(r"^@@\w+\n", told, flags=re.MULTILINE)[1:]
    for step, output in zip(page.steps, outputs, strict=False):
        missing = [line for line in step.expected if line not in output.splitlines()]
        assert not missing, (step.command, missing, output)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    folder = (ROOT / name).parent
    assert [link for link in _LINK.findall(text) if not (folder / link).exists()] == []
