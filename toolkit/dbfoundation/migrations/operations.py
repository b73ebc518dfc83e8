"""peewee-migrate's operations, made strict, and its models of earlier files, loaded when needed.

Differences from peewee_migrate.Migrator:

- `create_model` fails where the table exists, and `remove_fields` where the field does not exist.
  `remove_model` and `remove_fields` drop nothing else unless `cascade=True`.
- `migrator.orm` is empty at first. When a file uses a model that no file of this run has created,
  the applied files are run again, once, to learn their models. They get a database without a
  server, so that they change nothing, and other threads notice nothing.
- An operation has its line in the file, and logs nothing: peewee-migrate's log has parameters.

The seams that peewee-migrate does not document (`__ops__`, `__get_model__`, `__call__`,
`orm.__models__`, `orm.__tables__`) are held by tests/test_seams.py.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from peewee import Model, PostgresqlDatabase
from peewee_migrate import Migrator
from peewee_migrate.migrator import ORM
from playhouse.migrate import Operation

from dbfoundation.errors import MigrationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    TModel = type[Model]


class StrictMigrator(Migrator):
    """The `migrator` parameter of the functions in the file `path`.

    `replay` runs the applied files with another StrictMigrator.
    """

    def __init__(
        self, database: PostgresqlDatabase, replay: Callable[[StrictMigrator], None]
    ) -> None:
        super().__init__(database)
        self.database = database
        self.replay = replay
        self.orm: LazyORM = LazyORM(self._load_models)
        self.path = ""
        self.is_noop = False
        self.line: int | None = None
        self.__ops__: list[Any] = OperationQueue(self)

    def __call__(self) -> None:
        """Run the queued operations."""
        queue = self.take_queue()
        for operation, self.line in zip(queue, queue.lines, strict=True):
            operation.run() if isinstance(operation, Operation) else operation()
        self.line = None

    def noop(self) -> None:
        """State that the function has nothing to do; without it, sending nothing is an error."""
        self.is_noop = True

    def take_queue(self) -> OperationQueue:
        """Empty the queue; returns its operations."""
        queue, self.__ops__ = self.__ops__, OperationQueue(self)
        assert isinstance(queue, OperationQueue)  # noqa: S101 # for mypy: the base class has a list
        return queue

    def create_model(self, model: Any) -> Any:  # noqa: ANN401 # a model in, the same model out
        super().create_model(model)

        def create_table() -> None:
            model.create_table(safe=False)

        self.__ops__[-1] = create_table
        return model

    def remove_model(self, model: Any, *, cascade: bool = False) -> None:  # noqa: ANN401
        super().remove_model(model, cascade=cascade)

    def remove_fields(
        self,
        model: Any,  # noqa: ANN401 # a model or its name
        *names: str,
        cascade: bool = False,
        **params: Any,  # noqa: ANN401 # peewee-migrate's
    ) -> TModel:
        model = self.__get_model__(model)
        fields = model._meta.fields  # noqa: SLF001 # Peewee documents _meta
        if unknown := [name for name in names if name not in fields]:
            raise MigrationError(
                f"{model._meta.table_name} has no field {', '.join(unknown)}; "  # noqa: SLF001
                f"its fields are {', '.join(fields)}"
            )
        return super().remove_fields(model, *names, cascade=cascade, **params)

    @contextmanager
    def fake(self) -> Iterator[StrictMigrator]:
        """Let the operations of the block change the models only."""
        queue = self.take_queue()
        try:
            yield self
        finally:
            self.__ops__ = queue

    def __get_model__(self, model: Any) -> Any:  # noqa: ANN401 # peewee-migrate's seam
        if isinstance(model, str):
            self.orm.load_missing(model)
        return super().__get_model__(model)

    def _load_models(self) -> None:
        """Add the models of the applied files; those that this run created replace them."""
        offline = StrictMigrator(OfflineDatabase(), self.replay)
        offline.orm.loaded = True
        self.replay(offline)
        for model in offline.orm:
            model.bind(self.database)
        self.orm.__models__ = offline.orm.__models__ | self.orm.__models__
        self.orm.__tables__ = offline.orm.__tables__ | self.orm.__tables__


class OperationQueue(list[Any]):
    """Operations, and the line of the migrator's file that requested each."""

    def __init__(self, migrator: StrictMigrator) -> None:
        super().__init__()
        self.migrator = migrator
        self.lines: list[int | None] = []

    def append(self, operation: object) -> None:
        super().append(operation)
        self.lines.append(_line_in(self.migrator.path))

    def extend(self, operations: Any) -> None:  # noqa: ANN401 # an iterable
        for operation in operations:
            self.append(operation)


def _line_in(path: str) -> int | None:
    """The line that a file is at, found on the call stack."""
    frame = sys._getframe()  # noqa: SLF001 # a traceback would be slower
    while frame := frame.f_back:  # type: ignore[assignment] # None ends the walk
        if frame.f_code.co_filename == path:
            return frame.f_lineno
    return None


class LazyORM(ORM):
    """The models by name and by table; `load` adds those of the applied files."""

    def __init__(self, load: Callable[[], None]) -> None:
        super().__init__()
        self.load = load
        self.loaded = False

    def load_missing(self, name: str) -> None:
        """Load the applied files' models, once, when a name is unknown."""
        if not self.loaded and name not in self.__models__ and name not in self.__tables__:
            self.loaded = True
            self.load()

    def __getattr__(self, name: str) -> TModel:
        self.load_missing(name)
        return super().__getattr__(name)

    def __getitem__(self, name: str) -> TModel:
        self.load_missing(name)
        return super().__getitem__(name)

    def __iter__(self) -> Iterator[TModel]:
        self.load_missing("")
        return iter(self.__models__.values())


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
