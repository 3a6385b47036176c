"""The program: its commands, their help, shared options, errors and exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from llm_cost_ops.cli import app as application
from llm_cost_ops.cli.failure import failure_of
from llm_cost_ops.exceptions import ValidationError
from tests.cli.conftest import Run, program

EVERY = [(name, *application.COMMANDS[name]) for name in application.COMMANDS]


def leaves(command: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The commands below a group that are not hidden."""
    inner = getattr(command, "commands", None)
    if inner is None:
        return [path]
    return [
        leaf
        for name, below in inner.items()
        if not below.hidden
        for leaf in leaves(below, (*path, name))
    ]


def all_commands() -> list[tuple[str, ...]]:
    return [
        leaf
        for name, (place, _) in application.COMMANDS.items()
        for leaf in leaves(application.load(name, place), (name,))
    ]


@pytest.mark.parametrize("path", all_commands(), ids=" ".join)
def test_every_command_explains_itself_with_an_example(run: Run, path: tuple[str, ...]) -> None:
    ran = run(*path, "--help")
    assert ran.code == 0
    assert f"Usage: cost-ops {' '.join(path)}" in ran.out
    assert f"$ cost-ops {' '.join(path)}" in ran.out or f"cost-ops {' '.join(path)}" in ran.out
    assert "Examples:" in ran.out
    assert "<" not in ran.out.partition("Options:")[2].replace("<key>", "")


def test_the_list_of_commands_loads_none_of_them() -> None:
    code = (
        "import sys; sys.argv = ['cost-ops']\n"
        "from llm_cost_ops.cli.app import run\n"
        "run(['--help'])\n"
        "print(sorted(m for m in sys.modules if m.startswith(('llm_cost_ops', 'pydantic', 'rich',"
        " 'requests', 'sqlalchemy', 'fastapi'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1]
    for name in ("pydantic", "rich", "requests", "server", "llm_cost_ops.client", "ingest"):
        assert name not in loaded


def test_h_and_help_are_the_same(run: Run) -> None:
    assert run("-h").out == run("--help").out != ""


def test_without_a_command_the_help_is_an_error(run: Run) -> None:
    ran = run()
    assert ran.code == 2
    assert ran.out == ""
    assert "Commands:" in ran.err


def test_a_group_without_a_command_shows_its_help(run: Run) -> None:
    ran = run("pricing")
    assert ran.code == 2
    assert "rerate" in ran.err


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_version(run: Run, flag: str) -> None:
    assert run(flag).out == "cost-ops 0.1.0\n"


def test_version_command_names_the_price_book(run: Run) -> None:
    assert run("version").out.startswith("cost-ops 0.1.0\n")
    assert set(run("version", "-o", "json").json()) == {"version", "price_book"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["estimat"], "Did you mean 'estimate'"),
        (["query", "--nonsense"], "No such option: --nonsense"),
        (["query", "-o", "xml"], "'xml' is not one of table, json, jsonl, csv, yaml"),
        (["query", "--limit", "ten"], "'ten' is not a whole number"),
        (["query", "--limit", "0"], "--limit must be at least 1"),
        (["auth", "create-api-key"], "Missing option"),
        (["completion", "tcsh"], "'tcsh' is not one of bash, zsh, fish, powershell"),
        (["ingest"], "name a file"),
        (["ingest", "-f", "absent.jsonl"], "absent.jsonl: there is no such file"),
        (["ingest", "-f", "-", "--batch-size", "0"], "--batch-size must be from 1 to 10000"),
        (["ingest", "-f", "-", "--format", "xml"], "--format must be auto or one of"),
        (["ingest", "-f", "-", "--set", "cost=1"], "--set 'cost=1' is not FIELD=VALUE"),
        (["ingest", "-f", "-", "--map", "nonsense"], "map: "),
        (["estimate"], "give -f FILE, or --provider and --model"),
        (["pricing", "diff"], "give a compiled book, or --since DATE"),
        (["init", "--api-url", "http://localhost:1"], "init works on the database itself"),
        (["config", "show", "-c", "absent.toml"], "there is no such settings file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_one_line_and_exit_2(run: Run, arguments: list[str], said: str) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("Error [")
    assert said in ran.err


def test_shared_options_stand_before_or_after_the_command_and_the_inner_wins(run: Run) -> None:
    item = ("-p", "openai", "-m", "gpt-4o", "--input-tokens", 1000)
    after = run("estimate", *item, "-o", "json")
    assert run("-o", "json", "estimate", *item).out == after.out
    assert run("-o", "csv", "estimate", *item, "-o", "json").out == after.out


def test_shared_options_may_stand_after_a_group(run: Run, ledger: str) -> None:
    assert run("pricing", "-o", "json", "adjustments", "list").json()["data"] == []


def test_a_traceback_is_shown_with_vv_alone(run: Run) -> None:
    assert "Traceback" not in run("db", "status", "--database-url", "nonsense:").err
    assert "Traceback" not in run("-v", "db", "status", "--database-url", "nonsense:").err
    assert "Traceback" in run("-vv", "db", "status", "--database-url", "nonsense:").err


def test_a_missing_extra_is_named_with_its_command() -> None:
    failure = failure_of(ModuleNotFoundError("No module named 'fastapi'", name="fastapi.routing"))
    assert failure.exit_code == 1
    assert failure.line == (
        "Error [MISSING_EXTRA]: this needs the package fastapi: pip install 'llm-cost-ops[server]'"
    )


def test_a_field_is_told_once() -> None:
    text = "date must be a day"
    twice = ValidationError(f"line 3 {text}; nothing was imported", field_errors={"line 3": text})
    assert failure_of(twice).line == f"Error [API_ERROR]: {twice.message}"
    apart = ValidationError("The request is not valid.", field_errors={"line 3": text})
    assert failure_of(apart).line.endswith(f"not valid. (line 3: {text})")


def blocked(tmp_path: Path, *packages: str) -> dict[str, str]:
    """An environment in which these packages cannot be imported."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {packages!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Blocked())\n",
        encoding="utf-8",
    )
    return {"PYTHONPATH": str(tmp_path), "PATH": "", "COST_OPS_CONFIG": "none"}


def test_without_typer_there_is_one_sentence(tmp_path: Path) -> None:
    done = program("summary", env=blocked(tmp_path, "typer"))
    assert done.returncode == 1
    assert done.stderr == (
        "cost-ops needs the package typer, which the command line extra brings: "
        "pip install 'llm-cost-ops[cli]'\n"
    )


def test_without_the_server_estimates_work_and_the_rest_says_what_to_install(
    tmp_path: Path,
) -> None:
    environment = blocked(tmp_path, "fastapi", "sqlalchemy", "starlette", "structlog", "msgspec")
    item = ("-p", "openai", "-m", "gpt-4o", "--input-tokens", "1000")
    assert program("estimate", *item, env=environment).returncode == 0
    for arguments in (["summary"], ["init"], ["serve"]):
        done = program(*arguments, env=environment)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "pip install 'llm-cost-ops[server]'" in done.stderr


def test_a_reader_that_goes_away_is_no_error(place: Path) -> None:
    lines = '{"provider":"openai","model":"gpt-4o","usage":{"input_tokens":1}}\n' * 20_000
    (place / "items.jsonl").write_text(lines, encoding="utf-8")
    command = f"{sys.executable} -m llm_cost_ops.cli estimate -f items.jsonl -o jsonl | head -1"
    done = subprocess.run(
        ["bash", "-c", command], cwd=place, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_scripts_complete_both_names(run: Run, shell: str) -> None:
    ran = run("completion", shell)
    assert ran.code == 0
    assert "_COST_OPS_COMPLETE" in ran.out
    assert "_LLM_COST_OPS_COMPLETE" in ran.out


def test_a_shell_is_offered_commands_and_options(place: Path) -> None:
    def offered(words: str, index: int) -> set[str]:
        environment = {
            "_COST_OPS_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(index),
            "PATH": "",
        }
        return set(program(env=environment).stdout.split())

    assert {"estimate", "ingest", "summary"} <= offered("cost-ops ", 1)
    assert offered("cost-ops pricing re", 2) == {"rerate"}
    assert "--group-by" in offered("cost-ops query --g", 2)


def test_both_console_scripts_are_this_program() -> None:
    from importlib.metadata import entry_points

    scripts = {entry.name: entry.value for entry in entry_points(group="console_scripts")}
    assert scripts["cost-ops"] == scripts["llm-cost-ops"] == "llm_cost_ops.cli:main"


@pytest.mark.parametrize(("name", "place", "line"), EVERY, ids=[row[0] for row in EVERY])
def test_the_table_of_commands_is_true(name: str, place: str, line: str) -> None:
    assert application.load(name, place).name == name
    assert line.endswith(".")
    assert len(line) <= 70
