"""An operation that cannot be done as a whole changes nothing, and its error has a fix."""

import peewee as pw
import pytest
from playhouse.postgres_ext import BinaryJSONField, IdentityField

from dbfoundation.errors import MigrationError
from tests.field_cases import Bench


@pytest.fixture
def bench(module_connection):
    return Bench(module_connection)


REFUSED = {
    "unknown table": ("add_fields", ("thigns",), {}, r"no table or model thigns.\nFix: .* things$"),
    "unknown field": ("change_fields", ("things",), {"nmae": pw.TextField()}, "no field nmae"),
    "unknown field to remove": ("remove_fields", ("things", "nmae"), {}, r"nmae.\nFix: .*: name"),
    "unknown field to rename": ("rename_field", ("things", "nmae", "x"), {}, "no field nmae"),
    "unknown field of an index": ("add_index", ("things", "nmae"), {}, "no field nmae"),
    "unknown field without null": ("add_not_null", ("things", "nmae"), {}, "no field nmae"),
    "unknown field with null": ("drop_not_null", ("things", "nmae"), {}, "no field nmae"),
    "unknown field with default": ("add_default", ("things", "nmae", 0), {}, "no field nmae"),
    "unknown index": ("drop_index", ("things", "name"), {}, "no index of name.*\n.*thing_x"),
    "unknown constraint": (
        "drop_constraints",
        ("things", "no"),
        {},
        "no constraint no.*\n.*things_pkey",
    ),
    "unknown parameter": ("remove_fields", ("things", "x"), {"cascde": True}, "cascde"),
    "field that exists": (
        "add_fields",
        ("things",),
        {"x": pw.TextField(null=True)},
        "a field x already",
    ),
    "many to many": ("add_fields", ("things",), {"y": pw.ManyToManyField(pw.Model)}, "no column"),
    "no default": ("add_fields", ("things",), {"y": pw.TextField()}, "NOT NULL without a default"),
    "no default of a key": (
        "add_fields",
        ("things",),
        {"y": pw.ForeignKeyField("self")},
        "NOT NULL without",
    ),
    "callable": (
        "add_fields",
        ("things",),
        {"y": pw.IntegerField(default=int)},
        "cannot call its default",
    ),
    "one of two": (
        "add_fields",
        ("things",),
        {"ok": pw.TextField(null=True), "y": pw.TextField()},
        "things.y is NOT NULL",
    ),
    "callable default": ("add_default", ("things", "x", int), {}, "cannot call this default"),
    "cast": (
        "change_fields",
        ("things",),
        {"at": pw.IntegerField()},
        r"cannot cast .*\nFix: add another",
    ),
    "too long": ("change_fields", ("things",), {"x": pw.CharField(2)}, "too long"),
    "primary key": ("change_fields", ("things",), {"id": pw.IntegerField()}, "primary key"),
    "new primary key": (
        "change_fields",
        ("things",),
        {"x": pw.TextField(primary_key=True)},
        "primary key",
    ),
    "identity": (
        "change_fields",
        ("things",),
        {"id": IdentityField()},
        "how a column is generated",
    ),
    "unique constraint": (
        "change_fields",
        ("things",),
        {"x": pw.TextField(constraints=[pw.SQL("UNIQUE")])},
        "unique=True",
    ),
    "generated": (
        "change_fields",
        ("things",),
        {"x": pw.TextField(constraints=[pw.SQL("GENERATED ALWAYS AS (name) STORED")])},
        "how a column is generated",
    ),
}


VIOLATED = {
    "not null": ("add_not_null", ("things", "name"), {}, r"name is NULL in some row.\nFix"),
    "check": ("add_constraint", ("things", "no", "CHECK (id < 0)"), {}, "violated by some row"),
    "check of a field": (
        "change_fields",
        ("things",),
        {"x": pw.TextField(index=True, constraints=[pw.Check("x = ''")])},
        "violated by some row",
    ),
    "foreign key": (
        "change_fields",
        ("things",),
        {"number": pw.ForeignKeyField("self", column_name="number", index=False)},
        "violates foreign key",
    ),
}


@pytest.mark.parametrize(("name", "args", "fields", "message"), VIOLATED.values(), ids=VIOLATED)
def test_a_violated_constraint_leaves_nothing_without_a_transaction(
    bench, name, args, fields, message
):
    bench.create({"x": "long", "number": 9}, x=pw.TextField(index=True), number=pw.IntegerField())
    before = bench.schema()
    with pytest.raises((MigrationError, pw.IntegrityError), match=message):
        getattr(bench.migrator, name)(*args, **fields)
    assert bench.schema() == before


@pytest.mark.parametrize(("name", "args", "fields", "message"), REFUSED.values(), ids=REFUSED)
def test_an_operation_that_cannot_be_done_changes_nothing(bench, name, args, fields, message):
    bench.create({"x": "long"}, x=pw.TextField(index=True), at=pw.DateTimeField(null=True))
    before = bench.schema()
    expected = pytest.raises((MigrationError, pw.PeeweeException, TypeError), match=message)
    with expected, bench.db.atomic():
        getattr(bench.migrator, name)(*args, **fields)
    assert bench.schema() == before


def test_a_table_without_rows_gets_a_field_without_default(bench):
    bench.create({})
    bench.migrator.add_fields("things", x=pw.TextField(), allow_not_null=True)
    assert bench.schema() == bench.fresh(x=pw.TextField())
    bench.migrator.create_model(
        type("Owner", (pw.Model,), {"Meta": type("Meta", (), {"table_name": "owners"})})
    )
    bench.migrator.add_fields("owners", x=pw.UUIDField(default=pw.uuid.uuid4, unique=True))
    assert "owners.x" in {name for _, _, name in bench.schema()}


def test_a_default_of_the_server_is_enough(bench):
    bench.create()
    own = {"constraints": [pw.SQL("DEFAULT gen_random_uuid()")]}
    bench.migrator.add_fields("things", x=pw.UUIDField(**own), y=BinaryJSONField(default=dict))
    assert bench.schema(without_default_of="y") == bench.fresh(
        x=pw.UUIDField(**own), y=BinaryJSONField(default=dict)
    )
    bench.migrator.add_default("things", "name", pw.SQL("gen_random_uuid()"))
    assert (
        bench.schema()["column", "things", "things.name"]["default"] == "DEFAULT gen_random_uuid()"
    )
