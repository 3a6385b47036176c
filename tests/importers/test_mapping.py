"""Column mappings and the tables that are read through them."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops import importers
from llm_cost_ops.importers import ImportFormatError, ImportProblem, parse_mapping
from tests.importers.reading import SAMPLES, items_of, sample, split

CALLS = (
    "timestamp=when,provider=vendor,model=model name,prompt_tokens=in,completion_tokens=out,"
    'cached_tokens=cached,team_id=team,tags=labels,"metadata.note=note, free",environment:=test'
)


class TestMapping:
    def test_columns_constants_units_and_aliases(self) -> None:
        mapping = parse_mapping(
            "input_tokens=ContextTokens, model:=gpt-4o, timestamp=at@ms+2026-11-01T00:00:00Z,"
            "usage.cache_read_tokens=hits, metadata.run.name=run"
        )
        assert mapping.fields["prompt_tokens"].column == "ContextTokens"
        assert mapping.fields["model"].constant == "gpt-4o"
        assert mapping.fields["timestamp"].unit == "ms"
        assert mapping.columns() == {"ContextTokens", "at", "hits", "run"}

    def test_an_at_sign_that_is_no_unit_belongs_to_the_name(self) -> None:
        mapping = parse_mapping("timestamp=sent@gateway,user_id=mail@s")
        assert mapping.fields["timestamp"].column == "sent@gateway"
        assert mapping.fields["user_id"].column == "mail@s"

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("prompt_tokens", "is not field=column"),
            ("=a", "is not field=column"),
            ("model:=", "is not field=column"),
            ("", "names no model"),
            ("model=a,model:=b", "mapped twice"),
            ("input_tokens=a,prompt_tokens=b", "mapped twice"),
            ("colour=a", "'colour' is not a record field"),
            ("metadata.=a", "is not a record field"),
            ("usage.magic_tokens=a", "'magic_tokens' is not a known usage kind"),
            ("timestamp=a@s+tomorrow", "tomorrow"),
            ('"model=a', "cannot be read"),
            ("provider:=openai,prompt_tokens=a", "names no model"),
            ("model:=m,prompt_tokens=a", "names no provider"),
            ("model:=m,provider:=p", "names no quantity"),
            ("model:=m,provider:=p,usage.input_tokens=a,prompt_tokens=b", "not both"),
        ],
    )
    def test_a_mapping_that_cannot_work_is_refused(self, text: str, says: str) -> None:
        with pytest.raises(ImportFormatError, match=says) as caught:
            parse_mapping(text).check()
        assert caught.value.field == "map"

    def test_what_the_caller_gives_need_not_be_mapped(self) -> None:
        parse_mapping("prompt_tokens=a").check(["model", "provider"])


class TestCsv:
    def test_the_sample_read_through_a_mapping(self) -> None:
        records, problems = sample(
            "calls.csv", mapping=parse_mapping(CALLS), time_zone="Europe/Berlin"
        )
        first, second, third = records
        assert first == {
            "source": "csv",
            "event_id": first["event_id"],
            "timestamp": "2026-11-07T11:00:00Z",
            "provider": "openai",
            "model": "gpt-5.4",
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "cached_tokens": 10,
            "team_id": "search",
            "tags": ["a", "b"],
            "environment": "test",
            "metadata": {"note": "hello"},
        }
        assert second == {**first, "event_id": f"{first['event_id']}-1"}
        assert third["prompt_tokens"] == 7
        assert third["tags"] == ["x", "y"]
        assert "team_id" not in third
        assert [(p.line, p.field) for p in problems] == [
            (5, "prompt_tokens"), (6, None), (7, "timestamp"),
        ]  # fmt: skip

    def test_ids_do_not_depend_on_the_mapping_or_the_order_of_columns(self) -> None:
        one = items_of(
            "a,b\n1,2\n", "csv", mapping=parse_mapping("model:=m,provider:=p,prompt_tokens=a")
        )
        two = items_of(
            "b,a\n2,1\n", "csv", mapping=parse_mapping("model:=n,provider:=q,prompt_tokens=b")
        )
        assert [r["event_id"] for r in split(one)[0]] == [r["event_id"] for r in split(two)[0]]

    def test_another_source_makes_other_calls_of_equal_rows(self) -> None:
        (record,) = split(
            items_of("model,provider,prompt_tokens\nm,p,1\n", "csv", source="csv:monday")
        )[0]
        assert record["source"] == "csv:monday"

    def test_columns_named_like_fields_need_no_mapping(self) -> None:
        text = (
            "timestamp,provider,model_id,inputTokens,completion_tokens\n2026-11-01,openai,m,3,4\n"
        )
        (record,) = split(items_of(text, "csv"))[0]
        assert (record["model"], record["prompt_tokens"]) == ("m", 3)
        with pytest.raises(ImportFormatError, match="'colour' is not a record field"):
            items_of("model,provider,prompt_tokens,colour\nm,p,1,red\n", "csv")

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "must name every column"),
            ("a,,b\n1,2,3\n", "must name every column"),
            ("a,a\n1,2\n", "must be different"),
            ("x,y\n1,2\n", "no column 'a'; it has x, y"),
            ('"a,b\n1,2\n', "header cannot be read"),
        ],
    )
    def test_a_header_that_cannot_be_used_is_refused(self, text: str, says: str) -> None:
        mapping = parse_mapping("model:=m,provider:=p,prompt_tokens=a")
        with pytest.raises(ImportFormatError, match=says):
            items_of(text, "csv", mapping=mapping)

    def test_bad_quoting_and_long_cells_are_problems_of_their_rows(self) -> None:
        mapping = parse_mapping("model:=m,provider:=p,prompt_tokens=a")
        text = 'a,b\n1,x\n"2"y,x\n3,' + "z" * 2000 + '\n4,"two\nlines"\n\n5,x\n'
        records, problems = split(items_of(text, "csv", mapping=mapping, max_row_bytes=1000))
        assert [record["prompt_tokens"] for record in records] == [1, 4, 5]
        assert [problem.line for problem in problems] == [3, 4]

    def test_bytes_that_are_no_utf8_are_a_problem_of_their_row(self) -> None:
        mapping = parse_mapping("model:=m,provider:=p,prompt_tokens=a,metadata.b=b")
        records, problems = split(
            items_of(b"a,b\n1,caf\xe9\n2,caf\xc3\xa9\n", "csv", mapping=mapping)
        )
        assert [record["metadata"] for record in records] == [{"b": "café"}]
        assert problems == [ImportProblem(2, None, "the row is not UTF-8")]

    def test_crlf_and_a_missing_last_newline(self) -> None:
        mapping = parse_mapping("model:=m,provider:=p,prompt_tokens=a")
        assert len(items_of("a\r\n1\r\n2", "csv", mapping=mapping)) == 2

    def test_tsv_and_other_delimiters(self) -> None:
        mapping = parse_mapping("model:=m,provider:=p,prompt_tokens=a")
        for format, text, delimiter in (("tsv", "a\tb\n1\tx\n", None), ("csv", "a;b\n1;x\n", ";")):
            (record,) = split(items_of(text, format, mapping=mapping, delimiter=delimiter))[0]
            assert record["prompt_tokens"] == 1
        with pytest.raises(ImportFormatError, match="one character"):
            items_of("a;b\n", "csv", mapping=mapping, delimiter="; ")

    def test_rows_that_carry_their_own_price(self) -> None:
        mapping = parse_mapping("model=m,cost=usd,tokens_used=n,timestamp=t@s,currency:=EUR")
        text = "m,usd,n,t\ngpt-5.4,0.0000000001,12,1793527200\ngpt-5.4,1e3000,1,1793527200\n"
        records, problems = split(items_of(text, "csv", mapping=mapping))
        assert records[0]["cost"] == Decimal("0.0000000001")
        assert records[0]["tokens_used"] == 12
        assert problems[0].field == "cost"

    def test_a_direction_that_is_not_mapped_is_none_and_an_empty_cell_is_unknown(self) -> None:
        mapping = parse_mapping("model:=m,provider:=p,prompt_tokens=n")
        (record,) = split(items_of("n\n5\n", "csv", mapping=mapping))[0]
        assert (record["prompt_tokens"], record["completion_tokens"]) == (5, 0)
        mapping = parse_mapping("model:=m,provider:=p,prompt_tokens=n,completion_tokens=c")
        records, problems = split(items_of("n,c\n5,\n5,0\n", "csv", mapping=mapping))
        assert [record["completion_tokens"] for record in records] == [0]
        assert [(p.line, p.field) for p in problems] == [(2, "completion_tokens")]

    def test_usage_kinds_with_fractions_and_without(self) -> None:
        mapping = parse_mapping("model:=m,provider:=p,usage.audio_seconds=s,usage.input_tokens=n")
        records, problems = split(
            items_of("s,n\n73.5,1\n,2\n-1,3\n1.1234567,4\n", "csv", mapping=mapping)
        )
        assert [record["usage"] for record in records] == [
            {"audio_seconds": Decimal("73.5"), "input_tokens": 1}, {"input_tokens": 2},
        ]  # fmt: skip
        assert [problem.line for problem in problems] == [4, 5]

    def test_defaults_fill_what_the_rows_leave_open(self) -> None:
        records, _ = split(
            items_of(
                "model,prompt_tokens,team_id\nm,1,\nm,2,b\n",
                "csv",
                provider="openai",
                defaults={"team_id": "a", "environment": "prod"},
            )
        )
        assert [record["team_id"] for record in records] == ["a", "b"]
        assert records[0]["environment"] == "prod"
        assert records[0]["provider"] == "openai"


CELLS = (
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
    .map(str.strip)
    .filter(bool)
)


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 2**53 - 1), st.integers(0, 10**9), CELLS), min_size=1, max_size=25
    ),
    names=st.permutations(["Context, tokens", "out=", "wer?"]),
    delimiter=st.sampled_from([",", "\t", ";"]),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_a_table_comes_back_as_it_was_written(
    rows: list[tuple[int, int, str]], names: list[str], delimiter: str, newline: str
) -> None:
    """Any table, any column order, delimiter and quoting; reading it twice gives the same ids."""
    text = io.StringIO()
    writer = csv.DictWriter(text, names, delimiter=delimiter, lineterminator=newline)
    writer.writeheader()
    for prompt, completion, user in rows:
        writer.writerow({"Context, tokens": prompt, "out=": completion, "wer?": user})
    mapping = parse_mapping(
        '"prompt_tokens=Context, tokens",completion_tokens=out=,user_id=wer?,'
        "model:=gpt-5.4,provider:=openai"
    )
    records, problems = split(
        items_of(text.getvalue(), "csv", mapping=mapping, delimiter=delimiter)
    )
    assert problems == []
    assert [(r["prompt_tokens"], r["completion_tokens"], r["user_id"]) for r in records] == rows
    again, _ = split(items_of(text.getvalue(), "csv", mapping=mapping, delimiter=delimiter))
    assert again == records
    assert len({record["event_id"] for record in records}) == len(rows)


class TestJsonThroughAMapping:
    def test_members_of_nested_objects_by_dotted_names(self) -> None:
        mapping = parse_mapping(
            "model=req.model,provider:=openai,prompt_tokens=use.in,completion_tokens=a.b,"
            "metadata.flag=req.flag"
        )
        text = '{"req": {"model": "m", "flag": true}, "use": {"in": 5}, "a.b": 6}\n{"use": 3}\n'
        records, problems = split(items_of(text, "jsonl", mapping=mapping))
        assert records[0]["prompt_tokens"] == 5
        assert records[0]["completion_tokens"] == 6
        assert records[0]["metadata"] == {"flag": True}
        assert len(records) == 1
        assert [(p.line, p.field) for p in problems] == [(2, "prompt_tokens")]

    def test_lines_and_arrays_name_the_same_calls(self) -> None:
        mapping = parse_mapping("model:=m,provider:=p,prompt_tokens=n")
        lines = items_of('{"n": 1}\n{"n": 1}\n', "jsonl", mapping=mapping)
        array = items_of('[{"n": 1}, {"n": 1}]', "json", mapping=mapping)
        assert lines == array


class TestParquet:
    def table(self) -> bytes:
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        from datetime import UTC, datetime

        columns = {
            "at": arrow.array(
                [datetime(2026, 11, 1, 10, 0, 0, 5, tzinfo=UTC)] * 3,
                arrow.timestamp("ns", tz="UTC"),
            ),
            "naive": arrow.array([datetime(2026, 12, 1, 12)] * 3, arrow.timestamp("us")),  # noqa: DTZ001
            "n": arrow.array([374.0, None, 1.5], arrow.float64()),
            "m": arrow.array([1, 2, 3], arrow.int32()),
            "usd": arrow.array([Decimal("0.1000"), None, None], arrow.decimal128(12, 4)),
            "who": arrow.array(["a", None, "c"]),
        }
        sink = io.BytesIO()
        parquet.write_table(arrow.table(columns), sink)
        return sink.getvalue()

    def test_types_of_columns(self) -> None:
        mapping = parse_mapping(
            "model:=m,provider:=p,timestamp=at,prompt_tokens=n,completion_tokens=m,user_id=who,"
            "metadata.usd=usd"
        )
        records, problems = split(items_of(self.table(), "parquet", mapping=mapping))
        assert [record["prompt_tokens"] for record in records] == [374]
        assert records[0]["timestamp"] == "2026-11-01T10:00:00.000005Z"
        assert records[0]["metadata"] == {"usd": "0.1000"}
        assert [(p.line, p.field) for p in problems] == [
            (2, "prompt_tokens"), (3, "prompt_tokens"),
        ]  # fmt: skip
        again, _ = split(items_of(self.table(), "parquet", mapping=mapping))
        assert again == records

    def test_naive_stamps_are_in_the_zone(self) -> None:
        mapping = parse_mapping("model:=m,provider:=p,timestamp=naive,completion_tokens=m")
        records, _ = split(
            items_of(self.table(), "parquet", mapping=mapping, time_zone="Europe/Berlin")
        )
        assert records[0]["timestamp"] == "2026-12-01T11:00:00Z"

    def test_a_file_that_is_none_is_refused(self) -> None:
        pytest.importorskip("pyarrow")
        with pytest.raises(ImportFormatError, match="not a readable Parquet file"):
            items_of(b"PAR1 but not really", "parquet")

    def test_without_pyarrow_one_sentence_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
        with pytest.raises(ImportFormatError, match=r"pip install 'llm-cost-ops\[files\]'"):
            items_of(b"PAR1", "parquet")

    def test_a_stream_that_cannot_seek_is_read_whole(self) -> None:
        data = self.table()

        class Pipe(io.BytesIO):
            def seekable(self) -> bool:
                return False

        mapping = parse_mapping("model:=m,provider:=p,completion_tokens=m")
        options = importers.ImportOptions(mapping=mapping)
        assert len(list(importers.read(Pipe(data), format="parquet", options=options))) == 3

    def test_a_text_stream_is_refused(self) -> None:
        with pytest.raises(ImportFormatError, match="binary"):
            list(importers.read(io.StringIO("PAR1"), format="parquet"))


def test_the_sample_has_what_the_tests_say() -> None:
    assert (SAMPLES / "calls.csv").read_text().count("\n") == 7
