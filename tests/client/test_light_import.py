"""What importing costs, told by fresh interpreters."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

BLOCK = """
import sys, json
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(name + " is not installed")
sys.meta_path.insert(0, Blocked())
"""
EXTRAS = (
    "httpx", "typer", "rich", "fastapi", "starlette", "sqlalchemy", "alembic", "msgspec",
    "pydantic", "uvicorn", "uvloop", "structlog", "zstandard", "psycopg", "pymysql", "redis",
    "pyarrow", "yaml", "prometheus_client",
)  # fmt: skip


def run(code: str, blocked: tuple[str, ...] = ()) -> Any:
    """What the code leaves in `out`, from an interpreter of its own."""
    script = BLOCK.replace("{blocked!r}", repr(blocked)) + code + "\nprint(json.dumps(out))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_making_a_client_loads_no_http_library_and_no_server() -> None:
    loaded = run(
        "from llm_cost_ops import CostOpsClient\n"
        "CostOpsClient(api_key='sk', base_url='http://localhost:1')\n"
        "out = sorted(sys.modules)"
    )
    heavy = {"requests", "urllib3", "httpx", "asyncio", "http.client", "ssl", *EXTRAS}
    assert not heavy & set(loaded)
    assert not [name for name in loaded if name.startswith("llm_cost_ops.server")]
    assert not [name for name in loaded if name.split(".")[:2] == ["llm_cost_ops", "cli"]]


def test_the_package_alone_loads_nothing_of_itself() -> None:
    loaded = run(
        "import llm_cost_ops\nout = [n for n in sys.modules if n.startswith('llm_cost_ops')]"
    )
    assert loaded == ["llm_cost_ops"]


def test_a_plain_installation_is_enough_for_the_sdk() -> None:
    out = run(
        "from llm_cost_ops import CostOpsClient, track_cost, exceptions\n"
        "from llm_cost_ops.auth import OAuth2\n"
        "from llm_cost_ops.testing import FakeServer\n"
        "fake = FakeServer()\n"
        "client = fake.client()\n"
        "usage = client.usage.create(provider='openai', model='gpt-4-turbo',\n"
        "    prompt_tokens=1000, completion_tokens=500, timestamp='2025-01-15')\n"
        "estimate = client.estimate(provider='openai', model='gpt-4-turbo', date='2025-01-15',\n"
        "    prompt_tokens=1000, completion_tokens=500)\n"
        "costs = [usage, estimate, client.costs.list()]\n"
        "out = [str(cost.total_cost) for cost in costs]",
        blocked=EXTRAS,
    )
    assert {float(cost) for cost in out} == {0.025}


def test_what_needs_an_extra_says_so() -> None:
    out = run(
        "from llm_cost_ops import AsyncCostOpsClient, ConfigurationError\n"
        "try:\n    AsyncCostOpsClient()\n"
        "except ConfigurationError as error:\n    out = str(error)",
        blocked=EXTRAS,
    )
    assert out == "AsyncCostOpsClient needs httpx: pip install 'llm-cost-ops[async]'"


def test_every_public_name_is_there() -> None:
    out = run(
        "import llm_cost_ops, llm_cost_ops.client\n"
        "out = {n: type(getattr(llm_cost_ops, n)).__name__ for n in dir(llm_cost_ops)}\n"
        "out.update({n: type(getattr(llm_cost_ops.client, n)).__name__\n"
        "            for n in llm_cost_ops.client.__all__})"
    )
    assert out["__version__"] == "str"
    assert out["track_cost"] == "function"
    assert {"CostOpsClient", "AsyncCostOpsClient", "CostOpsError", "UsageRecord"} <= out.keys()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(ImportError):
        from llm_cost_ops import NoSuchName  # type: ignore[attr-defined]  # noqa: F401
