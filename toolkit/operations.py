"""peewee-migrate's operations, made strict, and its memory of the models, made lazy.

What differs from peewee_migrate.Migrator:

- `create_model` fails where the table exists, and `remove_fields` where there is no such field.
  `remove_model` and `remove_fields` take nothing else along without `cascade=True`.
- `migrator.orm` is empty at first. When a file asks it for what no file of this run has created,
  the applied files are run again, once, to tell what they left. They get a database that is none,
  so that they reach no server, whatever they do, and nothing changes for other threads.
- An operation remembers the line that asked for it, and logs nothing: peewee-migrate's log shows
  parameters.

The seams that peewee-migrate does not document (`__ops__`, `__get_model__`, `__call__`,
`orm.__models__`, `orm.__tables__`) are held by tests/test_operations.py.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from peewee import Model, PostgresqlDatabase
from peewee_migrate import Migrator
from peewee_migrate.migrator import ORM
from playhouse.migrate import Operation

from toolkit.errors import MigrationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    TModel = type[Model]


class Operations(Migrator):
    """The `migrator` that the functions of the file `path` are given.

    `replay` runs the applied files on the Operations that it is given.
    """

    def __init__(self, database: PostgresqlDatabase, replay: Callable[[Operations], None]) -> None:
        super().__init__(database)
        self.database = database
        self.replay = replay
        self.orm: LazyORM = LazyORM(self._remember)
        self.path = ""
        self.line: int | None = None
        self.__ops__: list[Any] = Queue(self)

    def __call__(self) -> None:
        """Run the operations that were asked for."""
        queue = self.take()
        for operation, self.line in zip(queue, queue.lines, strict=True):
            operation.run() if isinstance(operation, Operation) else operation()
        self.line = None

    def take(self) -> Queue:
        """The operations that were asked for; none are left."""
        queue, self.__ops__ = self.__ops__, Queue(self)
        assert isinstance(queue, Queue)  # noqa: S101 # for the types
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
        if strange := [name for name in names if name not in fields]:
            raise MigrationError(
                f"{model._meta.table_name} has no field {', '.join(strange)}: it has "  # noqa: SLF001
                f"{', '.join(fields)}"
            )
        return super().remove_fields(model, *names, cascade=cascade, **params)

    @contextmanager
    def fake(self) -> Iterator[Operations]:
        """Let what is asked for in the block change the models alone."""
        queue = self.take()
        try:
            yield self
        finally:
            self.__ops__ = queue

    def __get_model__(self, model: Any) -> Any:  # noqa: ANN401 # peewee-migrate's seam
        if isinstance(model, str):
            self.orm.look_for(model)
        return super().__get_model__(model)

    def _remember(self) -> None:
        """Add what the applied files left to the models; what this run created goes before it."""
        offline = Operations(OfflineDatabase(), self.replay)
        offline.orm.known = True
        self.replay(offline)
        for model in offline.orm:
            model.bind(self.database)
        self.orm.__models__ = offline.orm.__models__ | self.orm.__models__
        self.orm.__tables__ = offline.orm.__tables__ | self.orm.__tables__


class Queue(list[Any]):
    """Operations, and the line of the migrator's file that asked for each."""

    def __init__(self, migrator: Operations) -> None:
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
    """The line of a file that is being run, below us on the stack."""
    frame = sys._getframe()  # noqa: SLF001 # walking up without building a traceback
    while frame := frame.f_back:  # type: ignore[assignment] # None ends the walk
        if frame.f_code.co_filename == path:
            return frame.f_lineno
    return None


class LazyORM(ORM):
    """The models by name and by table; `remember` fills in what the applied files left."""

    def __init__(self, remember: Callable[[], None]) -> None:
        super().__init__()
        self.remember = remember
        self.known = False

    def look_for(self, name: str) -> None:
        """Fill in what is not known yet, when the name is among that."""
        if not self.known and name not in self.__models__ and name not in self.__tables__:
            self.known = True
            self.remember()

    def __getattr__(self, name: str) -> TModel:
        self.look_for(name)
        return super().__getattr__(name)

    def __getitem__(self, name: str) -> TModel:
        self.look_for(name)
        return super().__getitem__(name)

    def __iter__(self) -> Iterator[TModel]:
        self.look_for("")
        return iter(self.__models__.values())


class OfflineDatabase(PostgresqlDatabase):
    """A database that is none: it takes every statement and has no row."""

    def __init__(self) -> None:
        super().__init__("offline")

    def _connect(self) -> Nothing:
        return Nothing()


class Nothing:
    """A connection and its cursors, on no server."""

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
