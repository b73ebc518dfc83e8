"""The seams of peewee-migrate and Peewee that migrations use: an upgrade that moves one fails."""

import peewee as pw
import pytest
from peewee_migrate import Migrator
from peewee_migrate.migrator import ORM
from playhouse.migrate import Operation

from dbfoundation.migrations.operations import NullConnection, OfflineDatabase, StrictMigrator


def test_the_seam_ops_is_the_queue_of_operations(db):
    migrator = Migrator(db)
    assert migrator.__ops__ == []
    migrator.sql("SELECT 1")
    migrator.run(print)
    migrator.create_model(type("T", (pw.Model,), {}))
    sql, run, create = migrator.__ops__
    assert isinstance(sql, Operation)
    assert callable(run)
    assert callable(create)


def test_the_seam_create_model_queues_the_creation_of_the_table(db):
    class Thing(pw.Model):
        pass

    migrator = Migrator(db)
    migrator.create_model(Thing)
    assert migrator.__ops__ == [Thing.create_table]
    assert not Thing.table_exists()  # bound to the database


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
