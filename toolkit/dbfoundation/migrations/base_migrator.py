"""The `migrator` of a file without its operations: models by name, statements, and fake blocks.

Nothing is queued. A statement is sent when it is called, so that operations and statements run in
the order in which a file has them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from peewee_migrate import Migrator

from dbfoundation.errors import MigrationError
from dbfoundation.migrations.live_table import similar
from dbfoundation.migrations.model_changes import add_placeholder
from dbfoundation.migrations.offline import OfflineDatabase
from dbfoundation.migrations.table_editor import TableEditor
from dbfoundation.migrations.table_models import ModelRegistry
from dbfoundation.runtime.models import get_meta

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from peewee import Model, PostgresqlDatabase

    TModel = type[Model]


class BaseMigrator(Migrator):
    """The `migrator` parameter of the functions in a file.

    `replay` runs the applied files with another migrator, which sends nothing: its operations
    change its models only. It has no server, and looks tables up in the `catalog`.
    """

    def __init__(
        self,
        database: PostgresqlDatabase,
        replay: Callable[[Any], None],
        catalog: PostgresqlDatabase | None = None,
    ) -> None:
        super().__init__(database)
        self.database = database
        self.replay = replay
        self.orm: ModelRegistry = ModelRegistry(database, self._load_models, catalog)
        self.new_models: set[TModel] = set()
        self.is_noop = False

    @property
    def is_fake(self) -> bool:
        return self.orm.is_fake

    def begin_file(self) -> None:
        """Forget what the file before has created and stated."""
        self.new_models.clear()
        self.is_noop = False

    def noop(self) -> None:
        """State that the function has nothing to do."""
        self.is_noop = True

    def __call__(self) -> None:
        """Do nothing: peewee-migrate's way to run the operations so far, which have run."""

    @contextmanager
    def fake(self) -> Iterator[Self]:
        """Let the operations of the block change the models only."""
        before, self.orm.is_fake = self.orm.is_fake, True
        try:
            yield self
        finally:
            self.orm.is_fake = before

    def sql(self, sql: str, *params: object) -> None:
        """Send a statement."""
        if not self.is_fake:
            self.database.execute_sql(sql, params)

    def run(self, func: Callable[..., object], *args: object, **kwargs: object) -> None:
        """Call a function, which may send statements."""
        if not self.is_fake:
            func(*args, **kwargs)

    def __get_model__(self, model: TModel | str) -> TModel:  # type: ignore[override] # its seam
        return self.orm.find(model) if isinstance(model, str) else self.orm.follow_catalog(model)

    def _editor(self, model: TModel) -> TableEditor:
        return TableEditor(self.database, model, is_new=model in self.new_models)

    def _fields(self, model: TModel, names: Collection[str]) -> list[Any]:
        """The fields of these names, or columns; raises MigrationError for an unknown one.

        The models of a replay do not have what SQL has added, so that they take any name.
        """
        meta = get_meta(model)
        if self.is_fake:
            for name in names:
                if name not in meta.combined:
                    add_placeholder(model, name)
        if unknown := [name for name in names if name not in meta.combined]:
            raise MigrationError(
                f"{meta.table_name} has no field {', '.join(unknown)}.\n"
                f"Fix: correct the name; its fields: {similar(unknown[0], list(meta.fields))}"
            )
        return [meta.combined[name] for name in names]

    def _load_models(self) -> None:
        """Add the models of the applied files; those that this run created replace them."""
        offline = type(self)(OfflineDatabase(), self.replay, self.database)
        self.replay(offline)
        models = [model for model in offline.orm if not hasattr(get_meta(model), "reflected")]
        for model in models:
            model.bind(self.database)
        earlier = self.orm.__models__, self.orm.__tables__
        self.orm.__models__ = {model.__name__: model for model in models} | earlier[0]
        self.orm.__tables__ = {get_meta(model).table_name: model for model in models} | earlier[1]
