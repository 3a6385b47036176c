"""The app: rooms wired in the order in which cost data flows, and what lives as long as it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version
from typing import Any

from anyio import to_thread
from fastapi import FastAPI
from sqlalchemy import QueuePool
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from llm_cost_ops.server.access import routes as access
from llm_cost_ops.server.access.credentials import ApiKeys
from llm_cost_ops.server.access.keys import KeyRing
from llm_cost_ops.server.access.oauth import routes as oauth
from llm_cost_ops.server.access.oauth.throttle import Throttle
from llm_cost_ops.server.access.tokens import routes as tokens
from llm_cost_ops.server.access.tokens.desk import Tokens
from llm_cost_ops.server.admin import (
    audit,
    credential_routes,
    invitation_routes,
    organization_routes,
    role_routes,
    structure_routes,
    team_routes,
    user_routes,
)
from llm_cost_ops.server.admin import routes as admin
from llm_cost_ops.server.alerts import routes as alerts
from llm_cost_ops.server.alerts.desk import alert_desk
from llm_cost_ops.server.analytics import routes as analytics
from llm_cost_ops.server.audit.refused import Attempts
from llm_cost_ops.server.audit.watch import ForwardWatch
from llm_cost_ops.server.budgets import openapi as budgets_openapi
from llm_cost_ops.server.budgets import reserve_routes as reservations
from llm_cost_ops.server.budgets import routes as budgets
from llm_cost_ops.server.budgets.desk import Desk
from llm_cost_ops.server.budgets.on_behalf import OnBehalf
from llm_cost_ops.server.charges import routes as charges
from llm_cost_ops.server.clock import Clock, SystemClock
from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.db.errors import PASSING, DatabaseUnavailable, SerializationRetry
from llm_cost_ops.server.db.health import refuse_unsafe
from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.delivery.send import Outbound
from llm_cost_ops.server.exports import order_routes as export_orders
from llm_cost_ops.server.exports import routes as exports
from llm_cost_ops.server.forecasts import routes as forecasts
from llm_cost_ops.server.http import idempotency, openapi, problems
from llm_cost_ops.server.http.dispatch import Dispatch
from llm_cost_ops.server.http.edge import Edge
from llm_cost_ops.server.http.health import Health, old_book
from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.http.metrics import Metrics
from llm_cost_ops.server.http.operations import operations_router
from llm_cost_ops.server.http.ratelimit.gate import RateLimits
from llm_cost_ops.server.http.ratelimit.metrics import RateLimitMetrics
from llm_cost_ops.server.http.ratelimit.standing import HEADERS as RATE_LIMIT_HEADERS
from llm_cost_ops.server.http.routing import Room
from llm_cost_ops.server.identity.organizations import settings_of_organization
from llm_cost_ops.server.ingest import openapi as ingest_openapi
from llm_cost_ops.server.ingest import routes as ingest
from llm_cost_ops.server.ingest.writer import Writer
from llm_cost_ops.server.journal import routes as journal
from llm_cost_ops.server.ledger import routes as ledger
from llm_cost_ops.server.periods import routes as periods
from llm_cost_ops.server.pricing import estimate_routes as estimates
from llm_cost_ops.server.pricing import routes as pricing
from llm_cost_ops.server.pricing.resolve import Prices, price_book
from llm_cost_ops.server.privacy import retention_routes as retention
from llm_cost_ops.server.privacy import routes as privacy
from llm_cost_ops.server.queue import watch
from llm_cost_ops.server.queue.metrics import QueueMetrics
from llm_cost_ops.server.queue.watch import Watch
from llm_cost_ops.server.rates import routes as rates
from llm_cost_ops.server.reports import routes as reports
from llm_cost_ops.server.reports import style_routes as report_style
from llm_cost_ops.server.schedules import routes as schedules
from llm_cost_ops.server.schedules.desk import schedule_desk
from llm_cost_ops.server.scim import routes as scim
from llm_cost_ops.server.scim import token_routes as scim_tokens
from llm_cost_ops.server.scim.tokens import ScimTokens
from llm_cost_ops.server.settings import Settings
from llm_cost_ops.server.signin import (
    account_pages,
    address_routes,
    factor_routes,
    pages,
    pages_openapi,
)
from llm_cost_ops.server.signin import routes as signin
from llm_cost_ops.server.signin.desk import SignInDesk
from llm_cost_ops.server.signin.sessions import Sessions
from llm_cost_ops.server.signin.sso import initiate as sso_initiate
from llm_cost_ops.server.signin.sso import pages as sso_pages
from llm_cost_ops.server.signin.sso import routes as sso
from llm_cost_ops.server.signin.sso.desk import SsoDesk
from llm_cost_ops.server.storage.lazily import OnFirstUse
from llm_cost_ops.server.webhooks import openapi as webhooks_openapi
from llm_cost_ops.server.webhooks import routes as webhooks
from llm_cost_ops.server.webhooks.pump import SECRETS, Means
from llm_cost_ops.server.worker import WorkerThread, create_worker

VERSION = version("llm-cost-ops")
WRITER_THREADS = 4
GAUGE_SECONDS = 5.0
COUNTED_BY_RECORDS = frozenset({"ingest", "budgets"})
"""Rooms whose hot routes are in the bucket of ingest; those of signing in are pages like others."""

ROOMS: tuple[Room, ...] = (
    Room("access", router=access.router),
    # The admin room first: its /organizations/current is no id of one.
    Room("tokens", router=tokens.router),
    Room("oauth", router=oauth.server),
    Room("oauth-clients", router=oauth.router),
    Room("admin", router=admin.router),
    Room("audit", router=audit.router),
    Room("organizations", router=organization_routes.router),
    Room("users", router=user_routes.router),
    Room("teams", router=team_routes.router),
    Room("invitations", router=invitation_routes.router),
    Room("structure", router=structure_routes.router),
    Room("roles", router=role_routes.router),
    Room("provider credentials", router=credential_routes.router),
    Room("scim", router=scim.router),
    Room("scim-tokens", router=scim_tokens.router),
    Room(
        "signin",
        router=signin.router,
        routes=[*pages.routes, *account_pages.routes, *sso_pages.routes],
        paths=pages_openapi.paths,
    ),
    Room("second factor", router=factor_routes.router),
    Room("sso", router=sso.router),
    Room("sso begun", router=sso_initiate.router),
    Room("e-mail address", router=address_routes.router),
    # The ledger first: its /pricing/rerate and /pricing/unpriced are no ids of prices.
    Room("ledger", router=ledger.router),
    Room("pricing", router=pricing.create_router(ledger.backfill)),
    Room("estimates", router=estimates.router),
    Room("rates", router=rates.router),
    Room("charges", router=charges.router),
    Room("journal", router=journal.router),
    # Schedules before exports: /exports/schedules is no id of one.
    Room("schedules", router=schedules.router),
    Room("schedules of an export", router=schedules.singular),
    Room("schedules of reports", router=schedules.reports),
    # Exports before analytics: /costs/export is no id of a call.
    Room("exports", router=exports.router),
    Room("export", router=export_orders.router),
    Room("ordered exports", router=export_orders.plural),
    Room("analytics", router=analytics.router),
    Room("periods", router=periods.router),
    Room("ingest", routes=ingest.routes, paths=ingest_openapi.paths),
    Room(
        "budgets",
        router=budgets.router,
        routes=reservations.routes,
        paths=budgets_openapi.paths,
    ),
    Room("webhooks", router=webhooks.router, sends=webhooks_openapi.WEBHOOKS_SENT),
    Room("alerts", router=alerts.router),
    Room("forecasts", router=forecasts.router),
    Room("forecast", router=forecasts.singular),
    # The style first: /reports/style is no id of one.
    Room("report style", router=report_style.router),
    Room("reports", router=reports.router),
    Room("privacy", router=privacy.router),
    Room("retention", router=retention.router),
)


def create_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    database: Database | None = None,
    worker: bool = False,
) -> Edge:
    """The ASGI app. `.state` holds `settings`, `clock`, `database`, `prices`, `writer`, `desk`,
    `storage`, `outbound`, `webhooks`, `keys`, `attempts`, `limits`, `metrics`, `health`, `queue`
    and `forwards`; they run between the lifespan's startup and shutdown.

    A `database` that is passed in stays open afterwards. With `worker` jobs are worked off beside
    the requests.
    """
    api = FastAPI(
        title=openapi.TITLE,
        version=VERSION,
        openapi_url=None,  # our own document and page are routes of `operations`
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    problems.install(api)
    _furnish(api, settings, clock or SystemClock(), database)
    api.state.worker = _worker(api.state) if worker else None
    api.state.document = _document_of(api)
    api.router.routes.extend(operations_router(settings).routes)
    hot = [route for room in ROOMS for route in room.routes]
    for room in ROOMS:
        if room.router is not None:
            api.router.routes.extend(room.router.routes)
    api.router.routes.extend(hot)
    inner: ASGIApp = Dispatch(api, hot)
    if settings.cors.enabled and settings.cors.origins:
        inner = _with_cors(inner, settings)
    return Edge(
        inner,
        api=api,
        settings=settings,
        clock=api.state.clock,
        metrics=api.state.metrics,
    )


def openapi_document(app: Edge) -> Mapping[str, Any]:
    """The OpenAPI document of an app."""
    document: Mapping[str, Any] = app.state.document()
    return document


def _document_of(api: FastAPI) -> Callable[[], Mapping[str, Any]]:
    made: list[Mapping[str, Any]] = []

    def document() -> Mapping[str, Any]:
        if not made:
            made.append(openapi.document(api.router.routes, ROOMS, VERSION))
        return made[0]

    return document


def _furnish(api: FastAPI, settings: Settings, clock: Clock, given: Database | None) -> None:
    state = api.state
    state.settings = settings
    state.clock = clock
    state.owns_database = given is None
    state.database = given or open_database(settings.database, monotonic=clock.monotonic)
    state.keys = KeyRing(state.database, clock)
    state.attempts = Attempts(state.database, clock)
    state.sso = SsoDesk(settings, clock)
    state.tokens = Tokens(state.database, settings, clock)
    state.sign_in = SignInDesk(settings, state.database, clock, state.tokens)
    state.sessions = Sessions(state.sign_in)
    state.oauth_throttle = Throttle(clock.monotonic)
    state.credentials = (
        ScimTokens(state.database, clock),
        ApiKeys(state.keys),
        state.tokens,
        state.sessions,
    )
    state.prices = Prices(price_book(settings.pricing), state.database, clock)
    one_writer = state.database.kind is DatabaseKind.SQLITE
    state.writer = Writer(
        state.database, state.prices, clock, threads=1 if one_writer else WRITER_THREADS
    )
    state.budget_desk = OnBehalf()
    state.desk = Desk(state.database, state.prices, clock)
    state.storage = OnFirstUse(settings)
    state.outbound = Outbound(settings.delivery, clock)
    state.webhooks = Means(state.database, clock, state.outbound, Vault.of(settings, SECRETS))
    state.alerts = alert_desk(settings, clock)
    state.schedules = schedule_desk(settings, clock, state.storage, outbound=state.outbound)
    state.metrics = Metrics(version=VERSION, monotonic=clock.monotonic)
    state.health = Health(state.database, clock, settings, VERSION)
    state.limits = RateLimits(
        settings,
        clock,
        RateLimitMetrics(state.metrics.registry),
        partial(settings_of_organization, state.database),
        ingest=_counted_by_records(),
    )
    state.queue_metrics = QueueMetrics(state.metrics.registry)
    state.queue = Watch(state.database, clock, state.queue_metrics)
    state.forwards = ForwardWatch(state.database, settings, state.metrics.registry)
    _observe(state, settings)


def _counted_by_records() -> set[tuple[str, str]]:
    """Methods and templates of what reports usage or asks before a call."""
    return {
        (method, route.path)
        for room in ROOMS
        if room.name in COUNTED_BY_RECORDS
        for route in room.routes
        for method in route.methods or ()
    }


def _worker(state: Any) -> WorkerThread:
    return WorkerThread(
        create_worker(state.settings, state.database, state.clock, state.queue_metrics)
    )


def _observe(state: Any, settings: Settings) -> None:
    """Tie the gauges and warnings to what they tell of."""
    book, clock, metrics = state.prices.book, state.clock, state.metrics
    metrics.know_models(entry.model for entry in book.models())
    state.health.warnings.append(old_book(book.built_at, settings.pricing.book_max_age_days, clock))
    state.health.warnings.append(state.queue.warnings)
    state.health.warnings.append(state.forwards.warnings)
    state.health.warnings.append(state.limits.warnings)

    def refresh() -> None:
        metrics.price_book_age((clock.now().date() - book.built_at).days)
        metrics.connections(_connections(state.database))

    metrics.before_scrape(refresh)


def _connections(database: Database) -> dict[str, int]:
    pools = [engine.pool for engine in {database.reader, database.writer}]
    queues = [pool for pool in pools if isinstance(pool, QueuePool)]
    return {
        "in_use": sum(pool.checkedout() for pool in queues),
        "idle": sum(pool.checkedin() for pool in queues),
    }


def _with_cors(app: ASGIApp, settings: Settings) -> ASGIApp:
    cors = settings.cors
    return CORSMiddleware(
        app,
        allow_origins=cors.origins,
        allow_methods=cors.methods,
        allow_headers=cors.headers,
        allow_credentials=cors.credentials and "*" not in cors.origins,
        expose_headers=(
            "X-Request-ID",
            "Retry-After",
            idempotency.REPLAYED,
            *RATE_LIMIT_HEADERS,
        ),
    )


@asynccontextmanager
async def _lifespan(api: FastAPI) -> AsyncGenerator[None]:
    state = api.state
    await to_thread.run_sync(_prepare, state)
    state.writer.start()
    state.desk.start()
    if state.worker is not None:
        state.worker.start()
    tasks = [
        asyncio.create_task(work)
        for work in (
            state.keys.keep_last_used(),
            state.attempts.keep_written(),
            state.health.keep_examining(),
            _keep_watching(state),
            _keep_gauges(state),
            state.limits.keep_sharing(),
        )
    ]
    try:
        yield
    finally:
        state.health.draining = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if state.worker is not None:
            await to_thread.run_sync(state.worker.stop)
        await to_thread.run_sync(state.desk.close)
        await to_thread.run_sync(state.writer.close)
        await state.keys.flush_last_used()
        await state.attempts.flush(all_of_it=True)
        await to_thread.run_sync(state.limits.close)
        if state.owns_database:
            await to_thread.run_sync(state.database.dispose)


def _prepare(state: Any) -> None:
    """Migrate where asked to, and refuse a database that forgets. One that is down is waited for:
    `/ready` says so meanwhile."""
    settings: Settings = state.settings
    try:
        if settings.database.auto_migrate:
            Migrations().upgrade(settings.database)
        found = state.health.examine()
    except PASSING as error:
        logger("app").warning("started without the database", reason=error.message)
        return
    refuse_unsafe(
        found,
        production=settings.production,
        allowed=settings.database.allow_unsafe_durability,
    )


async def _keep_watching(state: Any) -> None:
    """Measure the queue now and then."""
    while True:
        await asyncio.sleep(watch.SECONDS)
        with suppress(DatabaseUnavailable, SerializationRetry):  # /ready tells of that already
            await to_thread.run_sync(state.queue.measure)
            await to_thread.run_sync(state.forwards.measure)


async def _keep_gauges(state: Any) -> None:
    """With several processes only what each wrote can be scraped, so each writes now and then."""
    while True:
        state.metrics.refresh()
        await asyncio.sleep(GAUGE_SECONDS)
