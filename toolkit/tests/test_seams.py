"""The seams of peewee-migrate and Peewee that migrations use: an upgrade that moves one fails."""

import peewee as pw
import pytest
from peewee_migrate import Migrator
from peewee_migrate.migrator import ORM

from dbfoundation.migrations.offline import NullConnection, OfflineDatabase
from dbfoundation.migrations.operations import StrictMigrator


def test_the_seam_get_model_finds_a_model_by_name(db):
    class Thing(pw.Model):
        pass

    migrator = Migrator(db)
    migrator.create_model(Thing)
    assert migrator.__get_model__("thing") is migrator.__get_model__("Thing") is Thing
    with pytest.raises(ValueError, match="not found"):
        migrator.__get_model__("nothing")


def test_the_seam_the_orm_has_models_by_name_and_by_table():
    class Thing(pw.Model):
        pass

    orm = ORM()
    orm.add(Thing)
    assert orm.__models__ == {"Thing": Thing}
    assert orm.__tables__ == {"thing": Thing}
    assert list(orm) == [Thing]


def test_the_seam_a_database_connects_only_in_connect():
    offline = OfflineDatabase()
    assert isinstance(offline.connection(), NullConnection)
    assert offline.execute_sql("SELECT 1").fetchall() == []
    assert offline.get_tables() == []
    with offline.atomic(), offline.savepoint():
        pass


def test_the_seam_the_migrator_has_the_database(db):
    assert issubclass(StrictMigrator, Migrator)
    assert StrictMigrator(db, lambda _: None).__database__ is db


def test_every_operation_of_peewee_migrate_is_our_own():
    """An operation that a release adds would be queued, and never run."""
    operations = {name for name, value in vars(Migrator).items() if callable(value)}
    inherited = {
        name for name in operations if getattr(StrictMigrator, name) is getattr(Migrator, name)
    }
    assert inherited == {"__iter__", "__del_field__"}
