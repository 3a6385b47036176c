"""No column that may hold a person is forgotten."""

from __future__ import annotations

from sqlalchemy import LargeBinary, String, Text

from llm_cost_ops import models
from llm_cost_ops.server.privacy.places import APART, APART_NAMES, BY_VERBS, PLACES


def test_every_column_with_text_is_a_place_or_stands_apart() -> None:
    places = {place.name for place in PLACES}
    texts: set[str] = set()
    unknown: list[str] = []
    for table in models.Base.metadata.tables.values():
        for column in table.columns:
            if not isinstance(column.type, String | Text | LargeBinary):
                continue
            name = f"{table.name}.{column.name}"
            texts.add(name)
            known = places | BY_VERBS.keys() | APART.keys()
            if name not in known and column.name not in APART_NAMES:
                unknown.append(name)
    assert not unknown, f"say in privacy/places.py what an erasure does there: {unknown}"
    gone = (places | BY_VERBS.keys() | APART.keys()) - texts
    assert not gone, "columns that are no more, or no text"


def test_nothing_is_both_a_place_and_apart() -> None:
    names = [place.name for place in PLACES]
    assert len(set(names)) == len(names)
    assert not set(names) & (APART.keys() | BY_VERBS.keys())


def test_words_stand_apart_in_no_table_where_they_name_a_person() -> None:
    for place in PLACES:
        assert place.column not in APART_NAMES, place.name
