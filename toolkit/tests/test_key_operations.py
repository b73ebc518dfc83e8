"""Foreign keys are added, changed, renamed and removed as create_model makes them."""

import peewee as pw
import pytest
from playhouse.postgres_ext import IdentityField

from tests.field_cases import Bench


@pytest.fixture
def bench(module_connection):
    return Bench(module_connection)


@pytest.fixture
def owner(bench):
    """The model of a table owners, with one row."""
    options = type("Meta", (), {"table_name": "owners"})
    owner = bench.migrator.create_model(
        type("Owner", (pw.Model,), {"code": pw.CharField(9, unique=True), "Meta": options})
    )
    owner.create(code="a")
    return owner


KEYS = {
    "plain": {},
    "cascade": {"on_delete": "CASCADE", "on_update": "SET NULL"},
    "restrict": {"on_delete": "RESTRICT"},
    "set null": {"on_delete": "SET NULL"},
    "deferrable": {"deferrable": "INITIALLY DEFERRED"},
    "named": {"constraint_name": "belongs"},
    "of another column": {"field": "code"},
    "without index": {"index": False},
    "unique": {"unique": True},
    "own column": {"column_name": "owned_by"},
    "no backref": {"backref": "+"},
}


@pytest.mark.parametrize("options", KEYS.values(), ids=KEYS)
def test_a_foreign_key_is_added_removed_and_renamed(bench, owner, options):
    bench.create()
    before = bench.schema()
    bench.migrator.add_fields("things", x=pw.ForeignKeyField(owner, null=True, **options))
    added = bench.schema()
    assert added == bench.fresh(x=pw.ForeignKeyField(owner, null=True, **options))
    renamed = {key: value for key, value in options.items() if key != "column_name"}
    bench.migrator.rename_field("things", "x", "y")
    assert bench.schema() == bench.fresh(y=pw.ForeignKeyField(owner, null=True, **renamed))
    bench.migrator.remove_fields("things", "y")
    assert bench.schema() == before


@pytest.mark.parametrize("options", KEYS.values(), ids=KEYS)
def test_a_foreign_key_is_changed_both_ways(bench, owner, options):
    column = {"column_name": "x_id"}
    kind = pw.CharField if "field" in options else pw.IntegerField
    number = {"null": True, "max_length": 9} if "field" in options else {"null": True}
    bench.create({"x": "a" if "field" in options else 1}, x=kind(**number | column))
    before = bench.schema()
    bench.migrator.change_fields("things", x=pw.ForeignKeyField(owner, null=True, **options))
    added = bench.schema()
    assert added == bench.fresh(x=pw.ForeignKeyField(owner, null=True, **options))
    bench.migrator.change_fields("things", x=kind(**number | column))
    assert bench.schema() == before


@pytest.mark.parametrize("old", [key for key in KEYS if "field" not in KEYS[key]])
@pytest.mark.parametrize("new", ["plain", "set null", "deferrable", "without index", "unique"])
def test_a_foreign_key_becomes_another_one(bench, owner, old, new):
    bench.create({"x": 1}, x=pw.ForeignKeyField(owner, **KEYS[old]))
    bench.migrator.change_fields("things", x=pw.ForeignKeyField(owner, null=True, **KEYS[new]))
    assert bench.schema() == bench.fresh(x=pw.ForeignKeyField(owner, null=True, **KEYS[new]))


def test_a_table_refers_to_itself(bench):
    bench.create()
    before = bench.schema()
    bench.migrator.add_fields("things", parent=pw.ForeignKeyField("self", null=True))
    assert bench.schema() == bench.fresh(parent=pw.ForeignKeyField("self", null=True))
    bench.migrator.remove_fields("things", "parent")
    assert bench.schema() == before


def test_tables_that_refer_to_each_other_get_both_keys(bench):
    options = type("Meta", (), {"table_name": "things"})
    thing = type("Thing", (pw.Model,), {"best": pw.DeferredForeignKey("Owner"), "Meta": options})
    options = type("Meta", (), {"table_name": "owners"})
    fields = {"thing": pw.ForeignKeyField(thing), "Meta": options}
    owner = type("Owner", (pw.Model,), fields)
    bench.migrator.create_model(thing)
    bench.migrator.create_model(owner)
    keys = [name for kind, _, name in bench.schema() if kind == "constraint" and "pkey" not in name]
    assert keys == ["owners_thing_id_fkey", "fk_things_best_id_refs_owners"]


def test_a_key_with_a_default_is_added(bench, owner):
    bench.create()
    bench.migrator.add_fields("things", x=pw.ForeignKeyField(owner, default=1))
    assert bench.schema(without_default_of=["x_id"]) == bench.fresh(x=pw.ForeignKeyField(owner))
    with pytest.raises(pw.IntegrityError, match="violates foreign key"):
        bench.migrator.add_fields("things", y=pw.ForeignKeyField(owner, default=2))


PRIMARY_KEYS = {
    "serial": pw.AutoField,
    "bigserial": pw.BigAutoField,
    "identity": IdentityField,
    "uuid": lambda: pw.UUIDField(
        primary_key=True, constraints=[pw.SQL("DEFAULT gen_random_uuid()")]
    ),
}


@pytest.mark.parametrize("make", PRIMARY_KEYS.values(), ids=PRIMARY_KEYS)
def test_a_table_with_rows_gets_a_primary_key(bench, make):
    bench.db.execute_sql("CREATE TABLE things (name varchar(255))")
    bench.db.execute_sql("INSERT INTO things VALUES ('a'), ('b')")
    before = bench.schema()
    bench.migrator.add_fields("things", number=make())
    assert bench.schema() == bench.fresh(number=make())
    thing = bench.migrator.orm["things"]
    assert len({row.number for row in thing.select()}) == 2
    assert thing.get_by_id(thing.get().number).name
    bench.migrator.remove_fields("things", "number")
    assert bench.schema() == before
