"""Operations on whole tables, indexes and constraints, and on tables that SQL has created."""

import peewee as pw
import pytest

from dbfoundation.errors import MigrationError
from dbfoundation.runtime.fields import Timestamp6Field
from tests.field_cases import Bench, model
from tests.support import execute


@pytest.fixture
def bench(module_connection):
    return Bench(module_connection)


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
    with pytest.raises(MigrationError, match="as 'UNIQUE USING INDEX alone'"):
        bench.migrator.add_constraint("things", "alone", "UNIQUE (price)")
    bench.migrator.add_index("things", "price", unique=True, name="alone")
    bench.migrator.add_constraint("things", "alone", "UNIQUE USING INDEX alone")
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


def test_an_index_is_added_and_dropped_concurrently(bench, worker_database):
    bench.create()
    pid = bench.db.connection().info.backend_pid
    last = f"SELECT query FROM pg_stat_activity WHERE pid = {pid}"
    bench.migrator.add_index("things", "name")
    [(sent,)] = execute(worker_database, last)
    assert sent == 'CREATE INDEX CONCURRENTLY "thing_name" ON "things" ("name")'
    bench.migrator.drop_index("things", "name")
    assert execute(worker_database, last) == [("DROP INDEX CONCURRENTLY thing_name",)]


def test_one_of_several_indexes_is_dropped_by_its_name(bench):
    bench.create(a=pw.IntegerField(null=True, index=True))
    bench.migrator.add_index("things", "a", name="own")
    with pytest.raises(MigrationError, match=r"2 indexes of a.\nFix: .*own \(a\), thing_a \(a\)"):
        bench.migrator.drop_index("things", "a")
    bench.migrator.drop_index("things", name="own")
    bench.migrator.drop_index("things", "a", name="thing_a")
    assert not [name for kind, _, name in bench.schema() if kind == "index"]


def test_two_classes_of_one_name_are_kept_apart(bench):
    bench.create()
    options = type("Meta", (), {"table_name": "owners"})
    other = bench.migrator.create_model(type("Thing", (pw.Model,), {"Meta": options}))
    bench.migrator.remove_model("things")
    assert bench.migrator.orm["owners"] is bench.migrator.orm.Thing is other


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
