"""Lines of agent session logs: large, mostly of no interest, sometimes cut off or badly escaped.

Only lines that hold one of the given words are parsed, so the text of a session is never looked
into. Log text may hold half a surrogate pair where a tool cut it; that does not matter to usage.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import IO, NoReturn, cast

from llm_cost_ops.importers.lines import bounded_lines
from llm_cost_ops.importers.problem import ImportProblem
from llm_cost_ops.importers.record import NumberedRow, Row, RowStream

_MAX_NUMBER = 40


def log_lines(stream: IO[bytes], limit: int, words: Sequence[bytes]) -> RowStream:
    """The objects of the lines that hold one of `words`; what is no strict JSON is a problem."""
    for item in bounded_lines(stream, limit):
        if isinstance(item, ImportProblem):
            yield item
        elif any(word in item[1] for word in words):
            yield _parse(item[0], item[1])


def _parse(number: int, line: bytes) -> NumberedRow | ImportProblem:
    try:
        value: object = json.loads(
            line.decode(),
            parse_float=_number,
            parse_int=_whole,
            parse_constant=_refuse,
            object_pairs_hook=_unique,
        )
    except RecursionError:
        return ImportProblem(number, None, "the line is nested too deeply")
    except ValueError as error:
        return ImportProblem(number, None, f"not valid JSON: {error}")
    if not isinstance(value, dict):
        return ImportProblem(number, None, "the line is not a JSON object")
    return NumberedRow(number, cast("Row", value))


def _number(text: str) -> Decimal:
    if len(text) > _MAX_NUMBER:
        raise ValueError("number out of range")
    return Decimal(text)


def _whole(text: str) -> int:
    if len(text) > _MAX_NUMBER:
        raise ValueError("number out of range")
    return int(text)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object names a key twice")
    return result
