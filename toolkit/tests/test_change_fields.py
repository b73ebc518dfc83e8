"""A field is changed both ways: keys, checks, defaults, indexes and names of columns."""

import peewee as pw
import pytest
from playhouse.postgres_ext import BinaryJSONField, HStoreField, IdentityField

from dbfoundation.errors import MigrationError
from tests.field_cases import Bench


@pytest.fixture
def bench(module_connection):
    return Bench(module_connection)


CHANGES = {
    "integer key to bigint": (pw.AutoField, pw.BigAutoField),
    "bigint key to integer": (pw.BigAutoField, pw.AutoField),
    "identity": (IdentityField, IdentityField),
    "check": (
        lambda: pw.IntegerField(null=True, constraints=[pw.Check("id > 0")]),
        lambda: pw.IntegerField(null=True, constraints=[pw.Check("id % 2 = 1".replace("%", "%%"))]),
    ),
    "named check": (
        lambda: pw.IntegerField(null=True),
        lambda: pw.IntegerField(null=True, constraints=[pw.Check("x > 0", name="own")]),
    ),
    "check and none": (
        lambda: pw.IntegerField(null=True, constraints=[pw.Check("id > 0")]),
        lambda: pw.BigIntegerField(null=True),
    ),
    "check with another column": (
        lambda: pw.CharField(null=True, constraints=[pw.Check("x <> name")]),
        lambda: pw.TextField(null=True, constraints=[pw.Check("name < x")]),
    ),
    "server's default": (
        lambda: pw.DateTimeField(constraints=[pw.SQL("DEFAULT now()")]),
        pw.DateTimeField,
    ),
    "server's defaults": (
        lambda: pw.CharField(constraints=[pw.SQL("DEFAULT '50%%'")]),
        lambda: pw.TextField(constraints=[pw.SQL("DEFAULT 'a'")]),
    ),
    "index and unique": (lambda: pw.CharField(index=True), lambda: pw.CharField(unique=True)),
    "method of an index": (BinaryJSONField, lambda: BinaryJSONField(index_type="HASH")),
    "name of a column": (
        lambda: pw.CharField(column_name="a", index=True),
        lambda: pw.CharField(column_name="b", index=True),
    ),
    "name of a column with a check": (
        lambda: pw.IntegerField(column_name="a", null=True, constraints=[pw.Check("a > 0")]),
        lambda: pw.BigIntegerField(column_name="b", null=True, constraints=[pw.Check("b > 0")]),
    ),
}


@pytest.mark.parametrize(("old", "new"), CHANGES.values(), ids=CHANGES)
def test_a_field_is_changed_both_ways(bench, old, new):
    field = "id" if isinstance(old(), pw.AutoField) else "x"
    bench.create({}, **{field: _named(old(), field)})
    before = bench.schema()
    bench.migrator.change_fields("things", **{field: _named(new(), field)})
    assert bench.schema() == bench.fresh(**{field: _named(new(), field)})
    bench.migrator.change_fields("things", **{field: _named(old(), field)})
    assert bench.schema() == before


def _named(field, name):
    """The field with checks on its own name, which stands as id in the table above."""
    for constraint in field.constraints or ():
        if isinstance(constraint, pw.SQL):
            constraint.sql = constraint.sql.replace("(id ", f"({name} ")
    return field


def test_a_view_on_a_table_does_not_hinder_a_change_of_something_else(bench):
    bench.create(x=pw.CharField(null=True))
    bench.db.execute_sql("CREATE VIEW seen AS SELECT x FROM things")
    bench.migrator.change_fields("things", x=pw.CharField(null=True, index=True, default="a"))
    assert bench.schema()["column", "things", "things.x"]["default"]


def test_a_view_on_a_column_whose_type_changes_is_named(bench):
    bench.create(x=pw.CharField(null=True))
    bench.db.execute_sql("CREATE VIEW seen AS SELECT x FROM things")
    with pytest.raises(MigrationError, match=r"used by a view or rule\nFix: drop in this file"):
        bench.migrator.change_fields("things", x=pw.TextField(null=True))


@pytest.mark.parametrize("options", [{"null": True}, {"default": 1}], ids=["null", "default"])
def test_a_field_with_checks_is_added_and_removed(bench, options):
    bench.create()
    before = bench.schema()

    def field():
        checks = [pw.Check("x > 0"), pw.Check("x < 9", name="small"), pw.SQL("CHECK (x <> 5)")]
        return pw.IntegerField(**options, constraints=checks)

    bench.migrator.add_fields("things", x=field())
    assert bench.schema(without_default_of="x") == bench.fresh(x=field())
    bench.migrator.remove_fields("things", "x")
    assert bench.schema() == before


def test_a_function_of_the_server_is_a_default(bench):
    bench.create(at=pw.DateTimeField(null=True))
    bench.migrator.add_default("things", "at", pw.fn.now())
    bench.migrator.add_fields("things", x=pw.DateTimeField(default=pw.fn.now()))
    columns = [bench.schema()["column", "things", f"things.{name}"] for name in ("at", "x")]
    assert [column["default"] for column in columns] == ["DEFAULT now()"] * 2


def test_a_field_of_an_extension_is_added_and_removed(bench):
    available = "SELECT FROM pg_available_extensions WHERE name = 'hstore'"
    if not bench.db.execute_sql(available).fetchall():
        pytest.skip("the server has no hstore")
    bench.db.execute_sql("CREATE EXTENSION IF NOT EXISTS hstore")
    bench.create()
    before = bench.schema()
    bench.migrator.add_fields("things", x=HStoreField(default={"it's": "100%", "b": None}))
    assert bench.schema(without_default_of="x") == bench.fresh(x=HStoreField())
    stored = bench.db.execute_sql("SELECT x -> 'it''s' FROM things").fetchall()
    assert stored == [("100%",)]
    bench.migrator.change_fields("things", x=HStoreField(null=True, index=False))
    assert bench.schema() == bench.fresh(x=HStoreField(null=True, index=False))
    bench.migrator.remove_fields("things", "x")
    assert bench.schema() == before
    bench.db.execute_sql("DROP EXTENSION hstore CASCADE")
