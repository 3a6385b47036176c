"""The one MetaData of all rooms, and the column types that mean the same on every database.

Money is BIGINT in units of 1e-10, time is BIGINT in microseconds since 1970 UTC. Strings compare
byte by byte: MySQL and MariaDB would otherwise call "A" and "a" the same event.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, MetaData, SmallInteger, String, Text
from sqlalchemy.dialects import mysql, postgresql

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMING)

TABLE_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}

Id = String(40)
OrganizationId = String(50)
Name = String(255)
Json = (
    Text()
    .with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
    .with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
)
"""JSON text as it was validated; JSONB on PostgreSQL so that BI tools can look inside."""

LongText = Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
"""Text that may be longer than 64 kB, where MySQL and MariaDB end `Text`."""


def micros(name: str, *, nullable: bool = False) -> Column[Any]:
    """A point in time in microseconds since 1970 UTC."""
    return Column(name, BigInteger, nullable=nullable)


def amount(name: str, *, nullable: bool = False) -> Column[Any]:
    """Money in units of 1e-10 of the row's currency."""
    return Column(name, BigInteger, nullable=nullable)


def count(name: str) -> Column[Any]:
    """A non-null count."""
    return Column(name, BigInteger, nullable=False, server_default="0")


def flag(name: str) -> Column[Any]:
    """0 or 1: the same literal on every database."""
    return Column(name, SmallInteger, nullable=False, server_default="0")
