"""Each house rule catches a planted violation and leaves clean code alone."""

from __future__ import annotations

from pathlib import PurePosixPath
from types import ModuleType

import pytest

from tools.lint import (
    no_commit,
    no_float_money,
    no_workplace,
    plain_words,
    room_names,
    size,
    tenant_scope,
)
from tools.lint.__main__ import findings
from tools.lint.source import Source

SERVER = "src/llm_cost_ops/server"


def source(path: str, text: str) -> Source:
    return Source(PurePosixPath(path), text)


def lines_found(rule: ModuleType, path: str, text: str) -> list[int]:
    return [finding.line for finding in rule.check(source(path, text))]


# --- no-commit -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "session.commit()",
        "with engine.begin() as connection: pass",
        "connection.execute('COMMIT')",
        "connection.execute(text('commit and chain'))",
        "connection.exec_driver_sql('COMMIT')",
        "connect(url, autocommit=True)",
        "connection.autocommit = True",
        "create_engine(url, isolation_level='AUTOCOMMIT')",
    ],
)
def test_no_commit_finds_every_way_to_commit(statement: str) -> None:
    found = lines_found(no_commit, f"{SERVER}/ledger/append.py", f"import x\n{statement}\n")
    assert set(found) == {2}


@pytest.mark.parametrize(
    "statement",
    [
        "session.execute(insert(usage_records), rows)",
        "with session.begin_nested(): pass",
        "connection.rollback()",
        "connect(url, autocommit=False)",
        "create_engine(url, isolation_level='READ COMMITTED')",
        "print('COMMIT')",
    ],
)
def test_no_commit_leaves_other_statements_alone(statement: str) -> None:
    assert lines_found(no_commit, f"{SERVER}/ledger/append.py", statement) == []


@pytest.mark.parametrize("edge", ["db/session.py", "db/migration_lock.py"])
def test_no_commit_allows_the_edges_only_by_path(edge: str) -> None:
    assert lines_found(no_commit, f"{SERVER}/{edge}", "session.commit()") == []
    assert lines_found(no_commit, f"{SERVER}/analytics/{edge}", "session.commit()") == [1]


def test_no_commit_lets_a_new_connection_get_its_mode_and_nothing_more() -> None:
    text = "connection.autocommit = True\nconnection.commit()\n"
    assert lines_found(no_commit, f"{SERVER}/db/connect_postgresql.py", text) == [2]
    assert lines_found(no_commit, f"{SERVER}/ledger/connect_postgresql.py", text) == [1, 2]


def test_no_commit_does_not_reach_tests() -> None:
    assert lines_found(no_commit, "tests/server/test_a.py", "session.commit()") == []


# --- tenant-scope ----------------------------------------------------------------------------

UNSCOPED = {
    "select": "def by_id(session, record_id):\n    return session.execute(select(records))\n",
    "update": "def void(session, record_id):\n    session.execute(sa.update(records))\n",
    "delete": "def drop(session, record_id):\n    session.execute(records.delete())\n",
    "raw": 'def by_id(cursor, record_id):\n    cursor.execute("SELECT * FROM usage_records")\n',
    "common table": 'def top(c):\n    c.execute("WITH a AS (SELECT 1) SELECT * FROM a")\n',
    "f-string": 'def by_id(c, table):\n    c.execute(f"SELECT * FROM {table}")\n',
    "unused": "def by_id(session, organization_id):\n    return session.execute(select(records))\n",
    "async": "async def by_id(session):\n    return await session.execute(select(records))\n",
    "method": "class Store:\n    def all(self):\n        return select(records)\n",
}


@pytest.mark.parametrize("text", UNSCOPED.values(), ids=UNSCOPED.keys())
def test_tenant_scope_finds_a_query_without_its_tenant(text: str) -> None:
    assert len(lines_found(tenant_scope, f"{SERVER}/ledger/store.py", text)) == 1


def test_tenant_scope_follows_sql_kept_at_module_level() -> None:
    text = (
        '_BY_ID = "SELECT * FROM usage_records"\ndef by_id(c, record_id):\n    c.execute(_BY_ID)\n'
    )
    assert lines_found(tenant_scope, f"{SERVER}/ledger/store.py", text) == [2]


SCOPED = {
    "argument": (
        "def by_id(session, organization_id):\n"
        "    return select(records).where(records.c.organization_id == organization_id)\n"
    ),
    "keyword": "def all(session, *, scope):\n    return scope.apply(select(records))\n",
    "no query": "def changed(record):\n    record.update(a=1)\n    return dict(record)\n",
    "docstring": 'def row(record):\n    """SELECT-shaped rows."""\n    return dict(record)\n',
    "insert": "def append(session, rows):\n    session.execute(insert(records), rows)\n",
    "runner": "def rows(session, statement):\n    return session.execute(statement).all()\n",
}


@pytest.mark.parametrize("text", SCOPED.values(), ids=SCOPED.keys())
def test_tenant_scope_leaves_scoped_functions_alone(text: str) -> None:
    assert lines_found(tenant_scope, f"{SERVER}/ledger/store.py", text) == []


def test_tenant_scope_covers_second_stores_and_nothing_else() -> None:
    text = UNSCOPED["select"]
    assert lines_found(tenant_scope, f"{SERVER}/analytics/store_clickhouse.py", text) == [1]
    assert lines_found(tenant_scope, f"{SERVER}/analytics/trends.py", text) == []


# --- no-float-money --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "cost = 0.0",
        "total_cost: float = zero()",
        "def spend(record) -> float: ...",
        "def rate(usage, price: float): ...",
        "def rate(usage, *, price: Decimal | float): ...",
        "def rate(usage, price=0.5): ...",
        "def rate(usage, *, price=0.5): ...",
        "costs: dict[str, float] = {}",
        "value = float(record.cost)",
        "value = float(row['total_cost'])",
        "amount = float(text)",
        "record.amount += 0.1",
        "if cost > 0.01: pass",
        "x = 1.1 * price",
        "make(price=0.03)",
        "row = {'unit_price': 0.03}",
        "rates = [0.5, 1.0]",
    ],
)
def test_no_float_money_finds_floats_beside_money(code: str) -> None:
    assert 1 in lines_found(no_float_money, f"{SERVER}/pricing/resolve.py", code)


@pytest.mark.parametrize(
    "code",
    [
        "cost = Decimal('0.1')",
        "cost_e10 = 1_000_000_000",
        "total_seconds = 0.5",
        "rate_limit_seconds: float = 60.0",
        "latency_total_ms = float(elapsed)",
        "sample_rate = 0.25",
        "timeout = 30.0",
        "def rate(usage, price: Decimal): ...",
        "if cost > 0: pass",
        "share = float(hits)",
        "cost = lookup(model, timeout_seconds=1.5)",
    ],
)
def test_no_float_money_leaves_exact_money_and_other_measures_alone(code: str) -> None:
    assert lines_found(no_float_money, f"{SERVER}/pricing/resolve.py", code) == []


def test_no_float_money_knows_the_door_where_callers_floats_become_exact() -> None:
    text = "near = float(amount)"
    assert lines_found(no_float_money, "src/llm_cost_ops/client/amount.py", text) == []
    assert lines_found(no_float_money, "src/llm_cost_ops/client/pages.py", text) == [1]


# --- room-names ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        f"{SERVER}/ledger/utils.py",
        f"{SERVER}/ledger/date_helpers.py",
        f"{SERVER}/common/__init__.py",
        f"{SERVER}/budgets/service.py",
        "tests/support/misc.py",
    ],
)
def test_room_names_finds_names_that_say_nothing(path: str) -> None:
    assert lines_found(room_names, path, "") == [0]


@pytest.mark.parametrize("path", [f"{SERVER}/http/pagination.py", "tools/services.py"])
def test_room_names_leaves_nouns_alone(path: str) -> None:
    assert lines_found(room_names, path, "") == []


# --- size ------------------------------------------------------------------------------------


def body(lines: int) -> str:
    return "def long():\n" + "    x = 1\n" * (lines - 1)


@pytest.mark.parametrize(("lines", "found"), [(500, []), (501, [0])])
def test_size_bounds_a_file(lines: int, found: list[int]) -> None:
    assert lines_found(size, f"{SERVER}/app.py", "x = 1\n" * lines) == found


@pytest.mark.parametrize(("lines", "found"), [(70, []), (71, [1])])
def test_size_bounds_a_function(lines: int, found: list[int]) -> None:
    assert lines_found(size, f"{SERVER}/app.py", body(lines)) == found


def test_size_exempts_generated_files_and_migrations() -> None:
    assert lines_found(size, "src/a.py", '"""Generated by tools/x."""\n' + body(600)) == []
    assert lines_found(size, f"{SERVER}/db/migrations/versions/0001_a.py", body(600)) == []
    assert lines_found(size, f"{SERVER}/db/migrations/env.py", body(600)) == [0, 1]


def test_size_summary_names_the_largest_and_counts_what_passes_the_soft_limits() -> None:
    sources = [source("src/a.py", body(41)), source("src/b.py", body(40) + "x = 1\n" * 311)]
    line = size.summary(sources)
    assert "2 files, 1 over 350 lines (largest 351: src/b.py)" in line
    assert "2 functions, 1 over 40 (longest 41: src/a.py:1 long)" in line


# --- no-workplace ----------------------------------------------------------------------------

ELSEWHERE = "/" + "work/main"  # in two parts, or this very file would be a finding


@pytest.mark.parametrize(
    "line",
    [
        f"path = '{ELSEWHERE}/src'",
        f"cd {ELSEWHERE}/",
        "venv: /" + "root/.venv",
        "url = https://" + "mirror.example.net/simple",
        "url = http://user:secret@" + "pypi.internal/simple",
        "https://" + "registry.corp.example/npm",
    ],
)
def test_no_workplace_finds_paths_and_mirrors(line: str) -> None:
    assert lines_found(no_workplace, "docs/howto.md", f"fine\n{line}\n") == [2]


@pytest.mark.parametrize(
    "line",
    [
        "see https://example.net/work/item",
        "a network/path and ~/work/x",
        "https://pypi.org/project/llm-cost-ops/ and https://registry.npmjs.org/",
        '{"cwd": "/home/dev/project"}',
    ],
)
def test_no_workplace_leaves_ordinary_text_alone(line: str) -> None:
    assert lines_found(no_workplace, "docs/howto.md", line) == []


# --- plain-words -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "# In production, this would call the provider".lower(),
        "# " + "TO" + "DO: the other half",
        "a " + "comprehensive" + " solution",
    ],
)
def test_plain_words_finds_promises_and_advertising(line: str) -> None:
    assert lines_found(plain_words, "src/llm_cost_ops/cli/app.py", line) == [1]


def test_plain_words_leaves_statements_alone() -> None:
    text = "# robust z-score; a placeholder in SQL; production settings"
    assert lines_found(plain_words, "src/llm_cost_ops/cli/app.py", text) == []


# --- exceptions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("comment", "silent"),
    [
        ("  # lint: allow no-commit: SQLite needs it before VACUUM", True),
        ("  # lint: allow no-commit:", False),
        ("  # lint: allow tenant-scope: another rule", False),
        ("", False),
    ],
)
def test_a_line_is_excused_only_by_rule_and_reason(comment: str, silent: bool) -> None:
    text = f"session.commit(){comment}\n"
    found = list(findings([source(f"{SERVER}/db/status.py", text)]))
    assert (found == []) is silent


def test_the_line_above_excuses_too_but_not_a_farther_one() -> None:
    excuse = "# lint: allow no-commit: SQLite needs it before VACUUM\n"
    near = source(f"{SERVER}/db/status.py", f"{excuse}session.commit()\n")
    far = source(f"{SERVER}/db/status.py", f"{excuse}x = 1\nsession.commit()\n")
    assert list(findings([near])) == []
    assert [finding.line for finding in findings([far])] == [3]


def test_size_cannot_be_excused() -> None:
    text = "# lint: allow size: it is long\n" + body(71)
    assert [finding.rule for finding in findings([source(f"{SERVER}/app.py", text)])] == ["size"]
