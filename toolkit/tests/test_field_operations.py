"""After an operation, the table is the one that create_model makes of the resulting model.

Each case is a kind of field and an operation, with a row in the table, up and down.
"""

import peewee as pw
import pytest
from playhouse.postgres_ext import ArrayField, BinaryJSONField

from tests.field_cases import FIELDS, NO_BTREE, Bench, make, value_of

KINDS = pytest.mark.parametrize("kind", FIELDS)


@pytest.fixture
def bench(module_connection):
    return Bench(module_connection)


@KINDS
def test_a_nullable_field_is_added_and_removed(bench, kind):
    bench.create()
    before = bench.schema()
    bench.migrator.add_fields("things", x=make(kind, null=True, default=None))
    assert bench.schema() == bench.fresh(x=make(kind, null=True, default=None))
    bench.migrator.remove_fields("things", "x")
    assert bench.schema() == before


@KINDS
def test_a_constant_default_is_the_servers(bench, kind):
    thing = bench.create()
    before = bench.schema()
    bench.migrator.add_fields("things", x=make(kind, default=value_of(kind)))
    bench.db.execute_sql("INSERT INTO things (name) VALUES ('of the release before')")
    assert bench.schema(without_default_of="x") == bench.fresh(x=make(kind))
    thing.create(name="own", x=value_of(kind))
    stored = [row for (row,) in bench.db.execute_sql("SELECT x::text FROM things ORDER BY id")]
    assert stored == [stored[0]] * 3
    assert stored[0] is not None
    bench.migrator.remove_fields("things", "x")
    assert bench.schema() == before


@KINDS
def test_null_is_changed_both_ways(bench, kind):
    bench.create({"x": value_of(kind)}, x=make(kind, null=True, default=None))
    nullable = bench.schema()
    bench.migrator.change_fields("things", x=make(kind, default=None))
    assert bench.schema() == bench.fresh(x=make(kind, default=None))
    bench.migrator.change_fields("things", x=make(kind, null=True, default=None))
    assert bench.schema() == nullable
    bench.migrator.add_not_null("things", "x")
    assert bench.schema() == bench.fresh(x=make(kind, default=None))
    bench.migrator.drop_not_null("things", "x")
    assert bench.schema() == nullable


@KINDS
def test_a_default_is_set_and_dropped_and_touches_no_row(bench, kind):
    bench.create(x=make(kind, null=True, default=None))
    before = bench.schema()
    bench.migrator.add_default("things", "x", value_of(kind))
    added = bench.schema()
    assert "default" in added["column", "things", "things.x"]
    assert bench.schema(without_default_of="x") == before
    assert bench.db.execute_sql("SELECT x FROM things").fetchall() == [(None,)]
    bench.migrator.change_fields("things", x=make(kind, null=True, default=None))
    assert bench.schema() == before
    bench.migrator.change_fields("things", x=make(kind, null=True, default=value_of(kind)))
    assert bench.schema() == added
    bench.migrator.add_default("things", "x", None)
    assert bench.schema() == before


@pytest.mark.parametrize("kind", [kind for kind in FIELDS if kind not in NO_BTREE])
def test_an_index_is_added_and_dropped_by_each_operation(bench, kind):
    bench.create(x=make(kind, null=True, default=None, index=False))
    before = bench.schema()
    wanted = bench.fresh(x=make(kind, null=True, default=None, index=True))
    bench.migrator.add_index("things", "x")
    assert bench.schema() == wanted != before
    bench.migrator.drop_index("things", "x")
    assert bench.schema() == before
    bench.migrator.change_fields("things", x=make(kind, null=True, default=None, index=True))
    assert bench.schema() == wanted
    bench.migrator.change_fields("things", x=make(kind, null=True, default=None, index=False))
    assert bench.schema() == before


UNIQUE = [kind for kind in FIELDS if make(kind).index_type is None and kind not in NO_BTREE]


@pytest.mark.parametrize("kind", UNIQUE)
def test_uniqueness_is_added_and_dropped_by_each_operation(bench, kind):
    bench.create(x=make(kind, null=True, default=None))
    before = bench.schema()
    wanted = bench.fresh(x=make(kind, null=True, default=None, unique=True))
    bench.migrator.add_index("things", "x", unique=True)
    assert bench.schema() == wanted != before
    bench.migrator.change_fields("things", x=make(kind, null=True, default=None))
    assert bench.schema() == before
    bench.migrator.change_fields("things", x=make(kind, null=True, default=None, unique=True))
    assert bench.schema() == wanted
    bench.migrator.drop_index("things", "x")
    assert bench.schema() == before


@KINDS
def test_a_field_is_renamed_with_what_is_named_after_it(bench, kind):
    options = {"null": True, "default": None, "constraints": [pw.Check("x IS NOT NULL OR true")]}
    bench.create(x=make(kind, **options))
    before = bench.schema()
    options["constraints"] = [pw.Check("y IS NOT NULL OR true")]
    bench.migrator.rename_field("things", "x", "y")
    assert bench.schema() == bench.fresh(y=make(kind, **options))
    bench.migrator.rename_field("things", "y", "x")
    assert bench.schema() == before


TYPES = {
    "wider": (pw.IntegerField, pw.BigIntegerField, 7),
    "narrower": (pw.BigIntegerField, pw.SmallIntegerField, 7),
    "longer": (lambda **k: pw.CharField(10, **k), lambda **k: pw.CharField(20, **k), "a"),
    "shorter": (lambda **k: pw.CharField(20, **k), lambda **k: pw.CharField(10, **k), "a"),
    "no length": (lambda **k: pw.CharField(20, **k), lambda **k: pw.CharField(None, **k), "a"),
    "precision": (
        lambda **k: pw.DecimalField(10, 2, **k),
        lambda **k: pw.DecimalField(12, 4, **k),
        1,
    ),
    "text to number": (pw.TextField, pw.IntegerField, "7"),
    "number to text": (pw.IntegerField, pw.TextField, 7),
    "text to date": (pw.CharField, pw.DateField, "2026-01-02"),
    "date to datetime": (pw.DateField, pw.DateTimeField, "2026-01-02"),
    "number to boolean": (pw.IntegerField, pw.BooleanField, 1),
    "text to uuid": (pw.CharField, pw.UUIDField, "00000000-0000-0000-0000-000000000001"),
    "text to jsonb": (pw.TextField, BinaryJSONField, "{}"),
    "numbers": (ArrayField, lambda **k: ArrayField(pw.BigIntegerField, **k), [1]),
    "collation": (pw.TextField, lambda **k: pw.TextField(collation='"C"', **k), "a"),
}


@pytest.mark.parametrize("options", [{}, {"null": True}], ids=["not null", "null"])
@pytest.mark.parametrize(("old", "new", "value"), TYPES.values(), ids=TYPES)
def test_a_type_is_changed_both_ways(bench, old, new, value, options):
    bench.create({"x": value}, x=old(**options))
    before = bench.schema()
    bench.migrator.change_fields("things", x=new(**options))
    assert bench.schema() == bench.fresh(x=new(**options))
    bench.migrator.change_fields("things", x=old(**options))
    assert bench.schema() == before
