"""The seeds' Python blocks about usage, costs or pricing run as printed (but for D-1's one)."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator

import pytest

from llm_cost_ops import CostOpsClient
from llm_cost_ops.exceptions import ValidationError
from tests.docs import plan
from tests.docs.doubles import stubbed
from tests.docs.place import Place, redirected
from tests.docs.plan import ELSEWHERE, PLACEHOLDER, RUN, World
from tests.docs.snippets import SEEDS, Snippet, snippets

pytestmark = pytest.mark.skipif(not SEEDS.exists(), reason="COST_OPS_SHARED has no seeds")

ALL = {snippet.key: snippet for snippet in snippets()}


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """A block that configures logging does so for itself alone."""
    loggers = (logging.getLogger(), logging.getLogger("llm_cost_ops.client"))
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        for handler in set(logger.handlers) - set(handlers):
            logger.removeHandler(handler)


@pytest.fixture
def world(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with redirected(place, monkeypatch), stubbed(), warnings.catch_warnings():
        # The documents use datetime.utcnow(), which later Pythons deprecate.
        warnings.simplefilter("ignore", DeprecationWarning)
        with CostOpsClient() as client:
            yield World(place, client, plan.globals_for(client))


def execute(snippet: Snippet, world: World) -> None:
    world.place.asked.clear()
    program = compile(snippet.code, f"{snippet.file}:{snippet.line}", "exec", dont_inherit=True)
    exec(program, world.g)  # noqa: S102 - the documents' own code


def test_each_block_has_its_place() -> None:
    planned = [*RUN, *PLACEHOLDER, *ELSEWHERE]
    assert len(planned) == len(set(planned))
    assert set(planned) == set(ALL)


@pytest.mark.parametrize("key", sorted(ALL))
def test_each_block_is_python(key: str) -> None:
    compile(ALL[key].code, key, "exec", dont_inherit=True)


@pytest.mark.parametrize("key", sorted(RUN.keys() & ALL.keys()))
def test_a_block_runs_as_printed(key: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    case = RUN[key]
    if key == "developer-guide#14":
        # Its fallback is for a server that stays down: no need to wait for that.
        monkeypatch.setenv("LLM_COST_OPS_MAX_RETRIES", "0")
    if case.before is not None:
        case.before(world)
    if case.raises is None:
        execute(ALL[key], world)
    else:
        with pytest.raises(case.raises):
            execute(ALL[key], world)
    case.then(world)


@pytest.mark.parametrize("key", sorted(PLACEHOLDER.keys() & ALL.keys()))
def test_a_placeholder_is_refused_before_anything_is_sent(key: str, world: World) -> None:
    with pytest.raises(ValidationError):
        execute(ALL[key], world)
    assert not world.place.asked


def test_the_summary_tells_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    limited = {key: case.without for key, case in RUN.items() if case.without}
    with capsys.disabled():
        print(
            f"\nseed snippets: {len(ALL)} Python blocks; {len(RUN)} run as printed"
            f" ({len(limited)} with a remark), {len(PLACEHOLDER)} placeholders refused,"
            f" {len(ELSEWHERE)} about other subjects"
        )
        for key, reason in sorted({**limited, **PLACEHOLDER, **ELSEWHERE}.items()):
            print(f"  {key}: {reason}")
    assert len(RUN) + len(PLACEHOLDER) + len(ELSEWHERE) == len(ALL)
