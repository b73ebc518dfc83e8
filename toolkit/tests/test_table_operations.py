"""Operations on keys, names, constraints and whole tables, and on tables that SQL has created."""

import peewee as pw
import pytest
from playhouse.postgres_ext import BinaryJSONField, IdentityField

from dbfoundation.errors import MigrationError
from dbfoundation.runtime.fields import Timestamp6Field
from tests.field_cases import Bench, model


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


CHANGES = {
    "integer key to bigint": (pw.AutoField, pw.BigAutoField),
    "bigint key to integer": (pw.BigAutoField, pw.AutoField),
    "identity": (IdentityField, IdentityField),
    "check": (
        lambda: pw.IntegerField(null=True, constraints=[pw.Check("id > 0")]),
        lambda: pw.IntegerField(null=True, constraints=[pw.Check("id % 2 = 1".replace("%", "%%"))]),
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
        constraint.sql = constraint.sql.replace("(id ", f"({name} ")
    return field


def thing(**options):
    """A class Thing with every kind of object that is named after its table."""
    meta = {"table_name": "things", "indexes": ((("a", "b"), True),)} | options
    fields = {
        "a": pw.CharField(index=True, constraints=[pw.Check("a <> ''")]),
        "b": pw.CharField(unique=True, null=True),
        "parent": pw.ForeignKeyField("self", null=True),
    }
    return type("Thing", (pw.Model,), fields | {"Meta": type("Meta", (), meta)})


@pytest.mark.parametrize("options", [{}, {"legacy_table_names": False}])
def test_a_table_is_renamed_with_what_is_named_after_it(bench, options):
    bench.migrator.create_model(thing(**options, table_name="owners"))
    wanted = bench.schema()
    bench.db.execute_sql("DROP TABLE owners")
    bench.migrator.create_model(thing(**options)).create(a="x")
    before = bench.schema()
    bench.migrator.begin_file()
    bench.migrator.rename_table("things", "owners")
    assert bench.schema() == wanted
    bench.migrator.orm["owners"].get().save()
    bench.migrator.add_index("Thing", "parent", "a")
    bench.migrator.drop_index("owners", "parent", "a")
    bench.migrator.rename_table("owners", "things")
    assert bench.schema() == before


def test_a_constraint_is_added_and_dropped(bench):
    bench.create(price=pw.IntegerField(default=1))
    before = bench.schema()
    bench.migrator.add_constraint("things", "positive", pw.Check("price > 0"))
    bench.migrator.add_constraint("things", "even", "CHECK (price %% 2 = 0) NOT VALID")
    bench.migrator.add_constraint("things", "alone", "UNIQUE (price)")
    added = bench.schema()
    definitions = {
        name: added["constraint", "things", name] for name in ("positive", "even", "alone")
    }
    assert definitions == {
        "positive": {"definition": "CHECK ((price > 0))"},
        "even": {"definition": "CHECK (((price % 2) = 0)) NOT VALID"},
        "alone": {"definition": "UNIQUE (price)"},
    }
    bench.migrator.drop_constraints("things", "positive", "even")
    bench.migrator.drop_index("things", "price")
    assert bench.schema() == before


def test_an_index_has_the_options_of_a_models_index(bench):
    bench.create(a=pw.IntegerField(null=True), b=pw.CharField(null=True))
    before = bench.schema()
    bench.migrator.add_index("things", "a", name="own")
    bench.migrator.add_index("things", "a", "b", unique=True, nulls_distinct=False)
    bench.migrator.add_index("things", "b", using="hash", where=pw.SQL("a > 0"))
    added = bench.schema()
    indexes = [of["definition"] for (kind, *_), of in added.items() if kind == "index"]
    assert [definition.removeprefix("CREATE ") for definition in indexes] == [
        "INDEX own ON things USING btree (a)",
        "UNIQUE INDEX thing_a_b ON things USING btree (a, b) NULLS NOT DISTINCT",
        "INDEX thing_b ON things USING hash (b) WHERE a > 0",
    ]
    bench.migrator.drop_index("things", "b")
    bench.migrator.drop_index("things", "a", "b")
    bench.migrator.drop_index("things", "a")
    assert bench.schema() == before


def test_one_of_several_indexes_is_dropped_by_its_name(bench):
    bench.create(a=pw.IntegerField(null=True, index=True))
    bench.migrator.add_index("things", "a", name="own")
    with pytest.raises(MigrationError, match=r"2 indexes of a.\nFix: .*own \(a\), thing_a \(a\)"):
        bench.migrator.drop_index("things", "a")
    bench.migrator.drop_index("things", name="own")
    bench.migrator.drop_index("things", "a", name="thing_a")
    assert not [name for kind, _, name in bench.schema() if kind == "index"]


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


BY_SQL = """CREATE TABLE things (
    sid varchar PRIMARY KEY, sess jsonb NOT NULL, expire timestamp(6) NOT NULL DEFAULT now(),
    owner integer, amount numeric(8,2), code char(2), marks text[], span int4range,
    note text COLLATE "C" UNIQUE
)"""


@pytest.fixture
def by_sql(bench):
    bench.db.execute_sql(BY_SQL)
    bench.db.execute_sql("CREATE INDEX idx_expire ON things (expire)")
    bench.db.execute_sql("INSERT INTO things (sid, sess) VALUES ('a', '{}')")
    return bench


def test_a_table_that_sql_created_has_a_model(by_sql):
    thing = by_sql.migrator.orm["things"]
    row = thing.create(sid="b", sess={"a": 1}, expire="2026-01-02", marks=["x"], code="de")
    assert (row.sid, thing.get_by_id("b").sess, thing.get_by_id("b").marks) == (
        "b",
        {"a": 1},
        ["x"],
    )


def test_every_operation_works_on_a_table_that_sql_created(by_sql):
    migrator, before = by_sql.migrator, by_sql.schema()
    migrator.add_fields("things", user=pw.CharField(default="it's", index=True))
    assert ("index", "things", "things_user") in by_sql.schema()
    migrator.remove_fields("things", "user")
    migrator.add_index("things", "owner", "sid")
    assert ("index", "things", "things_owner_sid") in by_sql.schema()
    migrator.drop_index("things", "owner", "sid")
    migrator.drop_index("things", "expire")
    migrator.add_index("things", "expire", name="idx_expire")
    migrator.drop_not_null("things", "sess")
    migrator.add_not_null("things", "sess")
    migrator.rename_field("things", "note", "notes")
    assert ("constraint", "things", "things_notes_key") in by_sql.schema()
    migrator.rename_field("things", "notes", "note")
    migrator.rename_table("things", "owners")
    assert ("constraint", "owners", "owners_note_key") in by_sql.schema()
    migrator.rename_table("owners", "things")
    assert by_sql.schema() == before
    migrator.change_fields("things", owner=pw.BigIntegerField(null=True, unique=True))
    assert by_sql.schema()["column", "things", "things.owner"] == {"type": "bigint"}
    migrator.change_fields("things", expire=Timestamp6Field(index=True))
    assert sum(kind == "index" for kind, *_ in by_sql.schema()) == 2
    migrator.remove_model("things")
    assert ("table", None, "things") not in by_sql.schema()


def test_a_table_of_another_schema_is_named_with_it(bench):
    bench.create(x=pw.IntegerField(null=True))
    bench.db.execute_sql("DROP SCHEMA IF EXISTS shop CASCADE")
    bench.db.execute_sql("CREATE SCHEMA shop CREATE TABLE things (a text)")
    before = bench.schema()
    migrator = bench.migrator
    migrator.add_fields("shop.things", b=pw.IntegerField(default=0, unique=True))
    migrator.rename_table("shop.things", "others")
    migrator.drop_index("shop.others", "b")
    migrator.change_fields("shop.others", b=pw.ForeignKeyField(migrator.orm["things"], null=True))
    assert migrator.orm["shop.others"].select().count() == 0
    assert bench.schema() == before
    migrator.remove_model("shop.others")
    migrator.orm["things"].get()
    bench.db.execute_sql("DROP SCHEMA shop")


def test_columns_that_sql_adds_and_drops_are_known(bench):
    bench.create()
    bench.db.execute_sql("ALTER TABLE things ADD COLUMN by_sql integer, DROP COLUMN name")
    bench.migrator.change_fields("things", by_sql=pw.TextField(null=True))
    assert bench.schema()["column", "things", "things.by_sql"] == {"type": "text"}
    bench.migrator.remove_fields("things", "by_sql")
    with pytest.raises(MigrationError, match="no field name"):
        bench.migrator.remove_fields("things", "name")


@pytest.mark.parametrize(
    "key", ["a integer, b integer, PRIMARY KEY (a, b)", "a integer, b integer"]
)
def test_a_table_has_a_composite_key_or_none(bench, key):
    bench.db.execute_sql(f"CREATE TABLE things ({key})")
    bench.migrator.orm["things"].insert(a=1, b=2).execute()
    bench.migrator.change_fields("things", b=pw.BigIntegerField(null="PRIMARY" not in key))
    assert bench.schema()["column", "things", "things.b"]["type"] == "bigint"
    assert bench.migrator.orm["things"].get().a == 1


def test_peewee_migrates_own_cases(bench):
    """The operations of peewee-migrate's own test, in its order."""
    migrator = bench.migrator
    owner = type(
        "Owner",
        (pw.Model,),
        {"name": pw.CharField(), "Meta": type("Meta", (), {"table_name": "owners"})},
    )
    thing = model(
        number=pw.CharField(),
        uid=pw.CharField(unique=True),
        owner_id=pw.ForeignKeyField(owner, column_name="owner_id"),
    )
    assert migrator.create_model(owner) is migrator.orm["owners"] is migrator.orm.Owner
    migrator.create_model(thing)
    migrator()
    migrator.add_fields(thing, finished=pw.BooleanField(default=False))
    migrator.remove_fields("things", "finished", "owner_id", "uid")
    assert not {"finished", "owner_id", "owner_id_id"} & {*dir(thing), *thing._meta.fields}
    migrator.add_fields(thing, owner=pw.ForeignKeyField(owner, null=True))
    assert thing.owner.name == "owner"
    migrator.rename_field(thing, "number", "identifier")
    migrator.drop_not_null(thing, "identifier")
    assert thing._meta.columns["identifier"].null
    migrator.add_default(thing, "identifier", 11)
    assert thing._meta.fields["identifier"].default == 11
    migrator.change_fields(thing, identifier=pw.IntegerField(default=0))
    assert thing.identifier.field_type == "INT"
    thing.create(identifier=55)
    migrator.sql("UPDATE things SET identifier = 77")
    migrator.run(lambda: thing.update(name="run").execute())
    assert (thing.get().identifier, thing.get().name) == (77, "run")
    migrator.add_index(thing, "identifier", "owner")
    assert thing._meta.indexes
    assert not thing.identifier.index
    migrator.drop_index(thing, "identifier", "owner")
    assert not thing._meta.indexes
    migrator.remove_fields(thing, "owner")
    assert not hasattr(thing, "owner")
    migrator.add_index(thing, "identifier", unique=True)
    assert thing.identifier.unique
    migrator.change_fields(thing, identifier=pw.IntegerField(default=0))
    assert not [name for kind, _, name in bench.schema() if kind == "index"]
    migrator.rename_table(thing, "others")
    assert migrator.orm["others"].get().identifier == 77
    migrator.remove_model("others")
