"""Cells of a CSV file made by whole columns with pyarrow: the same texts as value by value, several
times as fast."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from llm_cost_ops.core.csvcell import quoted
from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.money import E10, PLACES
from llm_cost_ops.server.exports.arrays import Values, array_of, listed
from llm_cost_ops.server.exports.columns import Column, Kind

_SECOND_US = 1_000_000
_DAY = 86_400
_OFTEN = 20
"""In how many rows a text stands on average where each is quoted by itself."""
# All texts in which `quoted` changes more than the quotes, and some that it leaves: those are given
# to it. Without lookahead, which RE2 has not.
_DOUBTFUL = "(?:^|[,;\\t\\r\\n]) *[=+\\-@＝＋－＠]|^ *[\\t\\r\\n]|\\x00"


def absent(columns: Sequence[Column]) -> str:
    """The cell of no value: empty, but where it is the whole line. Readers skip those."""
    return "" if len(columns) > 1 else '""'


class Cells:
    """What makes lines of rows. `writes` makes the text of one value of each column; it does so for
    what Arrow has no type for. Raises ImportError without pyarrow."""

    def __init__(
        self,
        columns: Sequence[Column],
        writes: Sequence[Callable[[Any], str]],
        delimiter: str,
        *,
        plain: bool,
    ) -> None:
        """`plain`: amounts have a point, instants are in UTC."""
        self._arrow = importlib.import_module("pyarrow")
        self._compute = importlib.import_module("pyarrow.compute")
        self._text = self._arrow.large_string()
        self._delimiter = delimiter
        self._absent = absent(columns)
        makers: dict[Kind, Callable[[Values], Any]] = {
            Kind.TEXT: self._quoted,
            Kind.JSON: self._quoted,
            Kind.COUNT: self._counts,
        }
        if plain:
            makers |= {Kind.MONEY: self._amounts, Kind.INSTANT: self._instants}
        self._columns = [
            (makers.get(column.kind), write) for column, write in zip(columns, writes, strict=True)
        ]

    def lines(self, values: Sequence[Values]) -> bytes:
        """The lines of rows that are given by columns."""
        made = [
            self._compute.coalesce(self._made(make, write, column), self._typed(self._absent))
            for (make, write), column in zip(self._columns, values, strict=True)
        ]
        if not made:
            return b""
        joined = self._join(*made, self._delimiter)
        return bytes(self._join(joined, "", "\r\n").buffers()[2])

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
        compute = self._compute
        texts = array_of(self._arrow, values, self._text)
        known = texts.dictionary_encode()
        if len(known.dictionary) * _OFTEN < len(texts):
            made = [quoted(text) for text in known.dictionary.to_pylist()]
            return self._arrow.array(made, self._text).take(known.indices)
        if compute.any(compute.match_substring_regex(texts, _DOUBTFUL)).as_py():
            made = [None if text is None else quoted(text) for text in listed(values)]
            return self._arrow.array(made, self._text)
        inside = compute.replace_substring(texts, '"', '""')
        return self._join('"', inside, '"', "")

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
        return self._join(self._dates(days), "T", clock, rest, "")

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
