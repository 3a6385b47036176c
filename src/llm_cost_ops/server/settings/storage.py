"""Settings of what is kept and where: the database, Redis, the cache."""

from __future__ import annotations

from dataclasses import dataclass

from llm_cost_ops.server.settings.spec import setting

_DATABASES = ("sqlite", "postgres", "postgresql", "mysql", "mariadb")


def _database_url(value: str) -> str | None:
    scheme, colon, rest = value.partition(":")
    database = scheme.partition("+")[0].lower()
    if colon and database in _DATABASES and (database == "sqlite" or rest.startswith("//")):
        return None
    return "sqlite:FILE, postgresql://USER:PASSWORD@HOST/NAME or mysql://USER:PASSWORD@HOST/NAME"


def _redis_url(value: str) -> str | None:
    known = value.lower().startswith(("redis://", "rediss://", "unix://"))
    return None if known else "redis://[:PASSWORD@]HOST[:PORT][/NUMBER] (rediss:// for TLS)"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """`[database]`: the ledger's home and how long a caller waits for it."""

    url: str = setting(
        "sqlite:cost-ops.db",
        "Where the ledger is kept: `sqlite:FILE`, `sqlite:///FILE`, `postgresql://USER:PASSWORD@"
        "HOST/NAME` (or `postgres://`), `mysql://..` or `mariadb://..`.",
        env=("DATABASE_URL",),
        flag="--database-url",
        url=True,
        check=_database_url,
    )
    pool_size: int = setting(
        20,
        "Connections kept open by one process.",
        env=("DATABASE_POOL_SIZE",),
        low=1,
        high=100,
    )
    max_overflow: int = setting(
        10,
        "Connections opened beyond the pool under load.",
        env=("DATABASE_MAX_OVERFLOW",),
        low=0,
        high=1000,
    )
    pool_timeout_seconds: float = setting(
        2.0,
        "How long a request waits for a free connection before it is answered 503.",
        env=("DATABASE_POOL_TIMEOUT",),
        files=("database.pool_timeout", "database.acquire_timeout_secs"),
        low=0.1,
        high=300,
    )
    pool_recycle_seconds: int = setting(
        3600,
        "Age at which a connection is replaced.",
        env=("DATABASE_POOL_RECYCLE",),
        files=(
            "database.pool_recycle",
            "database.max_lifetime_seconds",
            "database.max_lifetime_secs",
        ),
        low=1,
        high=604_800,
    )
    idle_timeout_seconds: int = setting(
        600,
        "A connection that was idle for longer is replaced when it is next needed.",
        files=("database.idle_timeout_secs",),
        low=1,
        high=604_800,
    )
    pool_pre_ping: bool = setting(
        True,
        "Ask a connection that was idle for a second or more whether it still answers, before use.",
    )
    connect_timeout_seconds: float = setting(
        3.0,
        "How long a new connection may take, login included.",
        files=("database.connection_timeout_secs",),
        low=2,
        high=60,
    )
    statement_timeout_ms: int = setting(
        4500,
        "The server gives up a statement of a request after this time; half a second later the "
        "client gives up the connection, because a server that hangs cannot say so itself. "
        "Maintenance commands are not limited. SQLite is not limited.",
        low=100,
        high=3_600_000,
    )
    report_timeout_ms: int = setting(
        30_000,
        "The same for what sums or lists calls: aggregates, summaries, queries, streams and "
        "forecasts.",
        low=100,
        high=3_600_000,
    )
    lock_timeout_ms: int = setting(
        2000,
        "How long a statement waits for a row or table lock.",
        low=100,
        high=600_000,
    )
    echo: bool = setting(
        False,
        "Log every SQL statement, without its parameters.",
        files=("database.log_statements",),
    )
    slow_query_threshold_ms: int = setting(
        1000,
        "Log statements that take longer; 0 logs none.",
        low=0,
        high=3_600_000,
    )
    auto_migrate: bool = setting(
        False,
        "Upgrade the schema when the server starts, instead of refusing to start.",
        files=("database.migrations.auto_migrate",),
    )
    allow_unsafe_durability: bool = setting(
        False,
        "Start in production although the database may lose an acknowledged call after a crash "
        "or a power loss (`cost-ops db status` names the settings at fault).",
    )
    sqlite_journal_mode: str = setting(
        "wal",
        "SQLite journal; only the write-ahead log lets readers and a writer work at once.",
        files=("database.journal_mode", "database.sqlite.journal_mode"),
        choices=("wal",),
    )
    sqlite_synchronous: str = setting(
        "full",
        "SQLite flush level. `normal` may roll back an acknowledged call after a power loss and "
        "is refused in production unless database.allow_unsafe_durability is set.",
        files=("database.synchronous", "database.sqlite.synchronous"),
        choices=("full", "extra", "normal"),
    )
    sqlite_busy_timeout_ms: int = setting(
        5000,
        "How long a writer waits for the one write lock of the file.",
        files=("database.busy_timeout_ms", "database.sqlite.busy_timeout_ms"),
        low=0,
        high=600_000,
    )
    sqlite_writer_cache_bytes: int = setting(
        256 * 2**20,
        "Page cache of the writing connection.",
        files=("database.sqlite.writer_cache_bytes",),
        low=2**20,
        high=2**36,
        size=True,
    )
    sqlite_reader_cache_bytes: int = setting(
        32 * 2**20,
        "Page cache of each reading connection.",
        files=("database.sqlite.reader_cache_bytes",),
        low=2**20,
        high=2**36,
        size=True,
    )
    sqlite_wal_autocheckpoint_pages: int = setting(
        20_000,
        "Pages in the write-ahead log at which it is copied into the file.",
        files=("database.sqlite.wal_autocheckpoint",),
        low=100,
        high=1_000_000,
    )
    sqlite_mmap_bytes: int = setting(
        0,
        "Bytes of the file that reading connections map into memory; 0 maps none.",
        files=("database.sqlite.mmap_size",),
        low=0,
        high=2**40,
        size=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings:
    """`[redis]`: optional; nothing about money or permissions is ever asked of it."""

    url: str | None = setting(
        None,
        "Redis for the cache and for limits shared by several replicas; without it each process "
        "keeps its own.",
        env=("REDIS_URL",),
        url=True,
        check=_redis_url,
    )
    max_connections: int = setting(
        50,
        "Connections of one process.",
        env=("REDIS_MAX_CONNECTIONS",),
        low=1,
        high=10_000,
    )
    socket_timeout_seconds: float = setting(
        5.0,
        "How long an answer may take.",
        env=("REDIS_SOCKET_TIMEOUT",),
        files=("redis.socket_timeout",),
        low=0.01,
        high=60,
    )
    socket_connect_timeout_seconds: float = setting(
        5.0,
        "How long a new connection may take.",
        env=("REDIS_SOCKET_CONNECT_TIMEOUT",),
        files=("redis.socket_connect_timeout",),
        low=0.01,
        high=60,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """`[cache]`: copies that may vanish at any moment without changing an answer."""

    enabled: bool = setting(
        True, "Keep copies of prices and keys in memory.", env=("CACHE_ENABLED",)
    )
    backend: str = setting(
        "memory",
        "Where copies are kept.",
        choices=("memory", "redis", "memcached"),
    )
    ttl_seconds: int = setting(
        300,
        "Age at which a copy is dropped.",
        env=("CACHE_TTL",),
        files=("cache.ttl",),
        low=1,
        high=86_400,
    )
    max_size: int = setting(
        1000,
        "Copies kept; the least recently used goes first.",
        env=("CACHE_MAX_SIZE",),
        low=1,
        high=10_000_000,
    )
    key_prefix: str = setting("llm-cost-ops", "Prefix of the keys in a shared cache.")
