"""`serve`, which is also `server` and `server start`; and `worker`."""

from __future__ import annotations

from typing import Annotated

import typer

from llm_cost_ops.cli.command import command, group, single
from llm_cost_ops.cli.profile import Profile

Host = Annotated[str | None, typer.Option("--host", "--bind", help="Address to listen on.")]
Port = Annotated[int | None, typer.Option("--port", help="Port to listen on; 0 takes a free one.")]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Server processes; 0 starts one per CPU.")
]
Worker = Annotated[
    bool | None,
    typer.Option(
        "--worker/--no-worker",
        help="Work off background jobs beside the API; without either flag on SQLite only.",
    ),
]
Concurrency = Annotated[
    int | None, typer.Option("--concurrency", help="Jobs to run at the same time.")
]
Once = Annotated[bool, typer.Option("--once", help="End when nothing is due any more.")]
SHOWN = ("config", "database_url")


def _serve(
    profile: Profile,
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    worker: Worker = None,
) -> int:
    """Serve the API until SIGTERM or SIGINT, then finish what is under way and stop.

    Settings come from --config, the environment and these flags; see `cost-ops config show`.

    $ cost-ops serve
    $ cost-ops serve --host 127.0.0.1 --port 8080 --workers 4
    $ cost-ops serve --no-worker
    """
    profile.refuse_remote("serve")
    flags = {
        "server.host": host,
        "server.port": port,
        "server.workers": workers,
        "worker.embedded": None if worker is None else "on" if worker else "off",
    }
    settings = profile.settings(flags)
    from llm_cost_ops.server.serve import run

    return run(settings)


def _work(profile: Profile, concurrency: Concurrency = None, once: Once = False) -> int:
    """Work off background jobs and schedules until SIGTERM or SIGINT, then finish what runs.

    Any number of workers may run on one database. On SQLite `cost-ops serve` has one already.

    $ cost-ops worker
    $ cost-ops worker --concurrency 8
    $ cost-ops worker --once
    """
    profile.refuse_remote("worker")
    settings = profile.settings({"worker.concurrency": concurrency})
    from llm_cost_ops.server.worker import run_worker

    return run_worker(settings, once=once)


worker = single("worker", shows=SHOWN)(_work)
serve = single("serve", shows=SHOWN)(_serve)
server = group("Serve the API.", _serve, shows=SHOWN)
command(server, "start", shows=SHOWN)(_serve)
