"""Stamping: files are recorded as applied without running them on the database, or forgotten.

The files run on a scratch database, with the engine's own way to run a step. Under the migrations'
lock, the whole schema of the database is compared with that of the scratch database. Only then are
the files recorded, all or none: those that ran on the scratch database, as a run records them.
Before that, nothing is written to the database.

Rows, owners, privileges and roles are not compared, as in a proof.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from dbfoundation.migrations.history import TABLE
from dbfoundation.migrations.history_lock import explain_locked_history
from dbfoundation.migrations.record import record_applied
from dbfoundation.migrations.verification import apply_all
from dbfoundation.schema.catalog import read, search_path
from dbfoundation.schema.ignored import without_ignored
from dbfoundation.schema.spelling import compare_as_parsed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from dbfoundation.migrations.engine import Engine
    from dbfoundation.migrations.step import Step
    from dbfoundation.migrations.verification import Scratch
    from dbfoundation.schema.comparison import Difference


class Stamp:
    """The pending migrations up to `name`, to record on the engine's database.

    `ignored` are the names that are not compared, as those of migrate-check. `differences` are
    those of the database (left) and the result of the migrations (right).
    """

    def __init__(self, engine: Engine, name: str, ignored: Collection[str]) -> None:
        plan = engine.plan()
        self.engine = engine
        self.last = plan.find(name).name
        self.planned = plan.steps_to_record(self.last)
        self.ignored = ignored
        self.differences: list[Difference] = []

    def apply(self, scratch: Scratch) -> list[Step]:
        """Apply every migration up to the last one on an empty database; returns their steps.

        Raises ServerWideError for a migration that must not run there.
        """
        return apply_all(scratch, self.last)

    def record(self, scratch: Scratch, applied: Sequence[Step], *, anyway: bool) -> list[Step]:
        """Record the applied steps that are still pending, if the schemas agree, or `anyway`.

        Returns those that were recorded. `applied` are the steps of apply() on `scratch`.
        """
        engine = self.engine
        with engine.lock.hold(engine.runner_timeout, engine.report):
            pending = {step.name for step in engine.plan().steps_to_record(self.last)}
            steps = [step for step in applied if step.name in pending]
            if not steps:
                return []
            self.differences = self._compare(scratch)
            if self.differences and not anyway:
                return []
            engine.ensure_history()
            with _transaction(engine):
                for step in steps:
                    if step.file:
                        record_applied(engine.history, step.file)
        return steps

    def _compare(self, scratch: Scratch) -> list[Difference]:
        engines = (self.engine, scratch.engine)
        # Its printed name has no schema where that is the first one of the search_path.
        histories = {e.history.table.name.replace('"', "") for e in engines if e.history.table}
        ignored = {TABLE, *histories, *self.ignored}
        path = search_path(self.engine.database)[:1]
        live, wanted = (without_ignored(read(e.database, path=path), ignored) for e in engines)
        return compare_as_parsed(scratch.engine.database, live, wanted, path)


def forget(engine: Engine) -> list[str]:
    """Remove every record of the history, without a rollback; returns their names."""
    with engine.lock.hold(engine.runner_timeout, engine.report), _transaction(engine):
        names = [record.name for record in engine.history.records()]
        for name in names:
            engine.history.remove(name)
    return names


@contextmanager
def _transaction(engine: Engine) -> Iterator[None]:
    """A transaction that changes the history, under the lock that the session holds."""
    with explain_locked_history(engine.database), engine.database.atomic():
        engine.lock.begin_step(engine.table_lock_timeout)
        yield
