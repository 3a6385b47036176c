"""Values as text by whole columns with pyarrow: the same texts as value by value, several times as
fast."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.money import E10, PLACES
from llm_cost_ops.server.exports.arrays import Values, array_of, listed
from llm_cost_ops.server.exports.columns import Column, Kind

_SECOND_US = 1_000_000
_DAY = 86_400
_OFTEN = 20
"""In how many rows a text stands on average where each is quoted by itself."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """How lines are written: what stands `before` each value and at the `end`, and for `absent`
    ones; how one text is quoted. `doubtful` is a regular expression (RE2) of all texts in which
    that changes more than the quotes, which are `doubled`, or nothing is."""

    before: Sequence[str]
    end: str
    absent: str
    quote: Callable[[str], str]
    doubtful: str
    doubled: bool
    documents: bool
    """Whether JSON stays JSON and instants are texts in it; else JSON is a text like others."""


class Cells:
    """What makes lines of rows. `writes` makes the text of one value of each column; it does so for
    what Arrow has no type for. Raises ImportError without pyarrow."""

    def __init__(
        self,
        columns: Sequence[Column],
        writes: Sequence[Callable[[Any], str]],
        spelling: Spelling,
        *,
        plain: Sequence[Kind],
    ) -> None:
        """`plain`: of amounts and instants those that have a point, and are in UTC."""
        self._arrow = importlib.import_module("pyarrow")
        self._compute = importlib.import_module("pyarrow.compute")
        self._text = self._arrow.large_string()
        self._spelling = spelling
        makers: dict[Kind, Callable[[Values], Any]] = {
            Kind.TEXT: self._quoted,
            Kind.JSON: self._documents if spelling.documents else self._quoted,
            Kind.COUNT: self._counts,
        }
        of_kind = {Kind.MONEY: self._amounts, Kind.INSTANT: self._instants}
        makers |= {kind: of_kind[kind] for kind in plain}
        self._columns = [
            (makers.get(column.kind), write) for column, write in zip(columns, writes, strict=True)
        ]

    def lines(self, values: Sequence[Values]) -> bytes:
        """The lines of rows that are given by columns."""
        parts: list[Any] = []
        absent = self._typed(self._spelling.absent)
        for before, (make, write), column in zip(
            self._spelling.before, self._columns, values, strict=False
        ):
            parts += [before, self._compute.coalesce(self._made(make, write, column), absent)]
        if not parts:
            return b""
        return bytes(self._join(*parts, self._spelling.end, "").buffers()[2])

    def _made(self, make: Any, write: Callable[[Any], str], values: Values) -> Any:
        if make is not None:
            try:
                return make(values)
            except (self._arrow.ArrowException, OverflowError, TypeError, UnicodeEncodeError):
                pass  # such as a count of more than 64 bits, or half of a surrogate pair
        texts = [None if value is None else write(value) for value in listed(values)]
        try:
            return self._arrow.array(texts, self._text)
        except UnicodeEncodeError:
            sound = (None if text is None else text.encode("utf-8", "replace") for text in texts)
            return self._arrow.array(list(sound), self._arrow.large_binary()).cast(self._text)

    def _join(self, *parts: Any) -> Any:
        """The texts of each row, with the last part between them."""
        return self._compute.binary_join_element_wise(*map(self._typed, parts))

    def _typed(self, part: Any) -> Any:
        return self._arrow.scalar(part, self._text) if isinstance(part, str) else part

    def _quoted(self, values: Values) -> Any:
        compute, spelling = self._compute, self._spelling
        texts = array_of(self._arrow, values, self._text)
        known = texts.dictionary_encode()
        if len(known.dictionary) * _OFTEN < len(texts):
            made = [spelling.quote(text) for text in known.dictionary.to_pylist()]
            return self._arrow.array(made, self._text).take(known.indices)
        if compute.any(compute.match_substring_regex(texts, spelling.doubtful)).as_py():
            made = [None if text is None else spelling.quote(text) for text in listed(values)]
            return self._arrow.array(made, self._text)
        inside = compute.replace_substring(texts, '"', '""') if spelling.doubled else texts
        return self._join('"', inside, '"', "")

    def _documents(self, values: Values) -> Any:
        texts = array_of(self._arrow, values, self._text)
        return self._compute.replace_substring(texts, "\n", " ")

    def _counts(self, values: Values) -> Any:
        return self._whole(values).cast(self._text)

    def _amounts(self, values: Values) -> Any:
        compute = self._compute
        units = self._whole(values)
        whole, fraction = self._divided(compute.abs_checked(units), E10)
        digits = self._join(whole.cast(self._text), self._padded(fraction, PLACES), ".")
        digits = compute.utf8_rtrim(compute.utf8_rtrim(digits, "0"), ".")
        signs = compute.if_else(compute.less(units, 0), self._typed("-"), self._typed(""))
        return self._join(signs, digits, "")

    def _instants(self, values: Values) -> Any:
        compute = self._compute
        micros = self._whole(values)
        if compute.any(compute.less(micros, 0)).as_py():  # division here is towards zero
            raise OverflowError
        seconds, fraction = self._divided(micros, _SECOND_US)
        days, second = self._divided(seconds, _DAY)
        minutes, second = self._divided(second, 60)
        hour, minute = self._divided(minutes, 60)
        clock = self._join(*(self._padded(part, 2) for part in (hour, minute, second)), ":")
        rest = self._join(".", self._padded(fraction, 6), "Z", "")
        rest = compute.if_else(compute.equal(fraction, 0), self._typed("Z"), rest)
        quote = '"' if self._spelling.documents else ""
        return self._join(quote, self._dates(days), "T", clock, rest, quote, "")

    def _dates(self, days: Any) -> Any:
        known = days.dictionary_encode()
        texts = [
            from_micros(day * _DAY * _SECOND_US).date().isoformat()
            for day in known.dictionary.to_pylist()
        ]
        return self._arrow.array(texts, self._text).take(known.indices)

    def _whole(self, values: Values) -> Any:
        return array_of(self._arrow, values, self._arrow.int64())

    def _divided(self, whole: Any, by: int) -> tuple[Any, Any]:
        """Quotient and remainder of numbers that are not negative."""
        quotient = self._compute.divide(whole, by)
        return quotient, self._compute.subtract(whole, self._compute.multiply(quotient, by))

    def _padded(self, whole: Any, width: int) -> Any:
        return self._compute.utf8_lpad(whole.cast(self._text), width, "0")
