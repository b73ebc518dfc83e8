"""The project of a task: its folder, its settings, and the parts that its tasks.py names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from dbfoundation.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from invoke.context import Context
    from peewee import Model

    from dbfoundation.runtime.pool import Pool
    from dbfoundation.settings import Settings


@dataclass(frozen=True)
class Project:
    """The folder of a tasks.py, and the names that it configured."""

    root: Path
    names: dict[str, str]

    @classmethod
    def of(cls, context: Context) -> Project:
        """The project of a task's context."""
        config = context.config
        # invoke has no public name for the folder of the loaded tasks.py; a test holds this one.
        return cls(Path(config._project_prefix).resolve(), dict(config.dbfoundation))  # noqa: SLF001

    @property
    def migrations(self) -> Path:
        return self.root / "migrations"

    def settings(self) -> Settings:
        from dbfoundation.settings import Settings

        return Settings.load(self.root / ".env")

    def models(self) -> Sequence[type[Model]]:
        """The list of the models; raises ProjectError where there is no such list."""
        from peewee import Model

        models: Sequence[type[Model]] = self._load("models")
        is_list = isinstance(models, list | tuple)
        if not is_list or not models or not all(isinstance(item, type(Model)) for item in models):
            raise ProjectError(
                f"{self.names['models']} is not a list of Peewee models, or it is empty.\n"
                'Fix: list the models there, or correct the name of "models" in tasks.py.'
            )
        return models

    def seeds(self) -> Callable[[], Any]:
        """The function of the seeds; raises ProjectError where there is none."""
        seeds: Callable[[], Any] = self._load("seeds")
        if not callable(seeds):
            raise ProjectError(
                f"{self.names['seeds']} is not a function.\n"
                'Fix: correct the name of "seeds" in tasks.py.'
            )
        return seeds

    def pool(self) -> Pool:
        """The pool that the models are bound to; raises ProjectError unless there is one."""
        from dbfoundation.runtime.models import get_database
        from dbfoundation.runtime.pool import Pool

        pools = {get_database(model) for model in self.models()}
        if len(pools) != 1 or not isinstance(pool := pools.pop(), Pool):
            raise ProjectError(
                f"{self.names['models']}: the models are not bound to one dbfoundation.Pool.\n"
                "Fix: set `database` in the Meta of their base class."
            )
        return pool

    def session_models(self) -> list[type[Model]]:
        """The models that have the columns of sessions."""
        from dbfoundation.runtime.models import get_meta
        from dbfoundation.runtime.sessions import COLUMNS

        return [model for model in self.models() if get_meta(model).columns.keys() >= COLUMNS]

    def _load(self, part: str) -> Any:  # noqa: ANN401 # a part of the project
        name = self.names[part]
        try:
            return resolve_name(name)
        except Exception as error:
            raise ProjectError(
                f"{name} cannot be imported: {type(error).__name__}: {error}\n"
                f'Fix: correct it, or the name of "{part}" in tasks.py; '
                "`invoke --debug` adds the traceback."
            ) from error
