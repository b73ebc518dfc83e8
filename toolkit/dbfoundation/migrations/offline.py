"""A database without a server, on which the applied files run to show their models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from peewee import PostgresqlDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator


class OfflineDatabase(PostgresqlDatabase):
    """A database without a server: it accepts every statement and has no row."""

    def __init__(self) -> None:
        super().__init__("offline")

    def _connect(self) -> NullConnection:
        return NullConnection()


class NullConnection:
    """A connection and its cursors, without a server."""

    server_version = 150000
    rowcount = 0
    description = None
    autocommit = True

    def __getattr__(self, name: str) -> Self:
        return self

    def __call__(self, *_: object, **__: object) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(())

    def fetchone(self) -> None:
        return None

    def fetchmany(self, _: int = 0) -> list[tuple[Any, ...]]:
        return []

    def fetchall(self) -> list[tuple[Any, ...]]:
        return []
