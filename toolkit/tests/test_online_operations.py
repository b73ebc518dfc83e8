"""Operations on a table that may have rows: the online form, and names that the models have."""

import peewee as pw
import pytest

from dbfoundation.errors import MigrationFailedError
from dbfoundation.migrations.engine import Engine
from dbfoundation.schema.drift import find_drift
from tests.migration_files import migration

HEAD = "import peewee as pw"
ONLINE = f"atomic = False\n{HEAD}"
USERS = (
    """@migrator.create_model
    class User(pw.Model):
        name = pw.CharField(null=True)
        class Meta:
            table_name = "users"
    """
    "migrator.add_index('users', 'name')"
)


@pytest.fixture
def engine(db, tmp_path, write):
    """An engine that has applied a file which creates users, and whose table has two rows."""
    write("001_users", migration(USERS, "migrator.remove_model('users')", HEAD))
    engine = Engine(db, tmp_path)
    engine.up()
    db.execute_sql("INSERT INTO users (name) VALUES ('a'), ('a')")
    return engine


def statements(engine):
    """The statements of a dry run of the last file, without the parameters' text."""
    [*_, step] = engine.dry_run_up()
    return step.statements


def indexes(db):
    query = "SELECT indexname FROM pg_indexes WHERE tablename = 'users' ORDER BY 1"
    return [name for (name,) in db.execute_sql(query) if not name.endswith("_pkey")]


REPLACE_PROOF = (
    'ALTER TABLE "users" DROP CONSTRAINT IF EXISTS "set_not_null_name", '
    'ADD CONSTRAINT "set_not_null_name" CHECK ("name" IS NOT NULL) NOT VALID'
)
INDEXED = {
    "add_index": "migrator.add_index('users', 'id', 'name')",
    "unique index": "migrator.add_index('users', 'name', unique=True)",
    "field with index": "migrator.add_fields('users', x=pw.CharField(null=True, index=True))",
    "unique field": "migrator.add_fields('users', x=pw.CharField(null=True, unique=True))",
    "foreign key": "migrator.add_fields('users', x=pw.ForeignKeyField('self', null=True))",
    "changed field": "migrator.change_fields('users', name=pw.CharField(null=True, unique=True))",
}


@pytest.mark.parametrize("migrate", INDEXED.values(), ids=INDEXED)
def test_an_index_on_an_existing_table_is_refused_in_a_transaction(engine, db, write, migrate):
    db.execute_sql("DELETE FROM users")  # the verdict does not depend on the rows
    write("002_index", migration(migrate, options=HEAD))
    with pytest.raises(
        MigrationFailedError, match=r"002_index\.py:3: .* needs CONCURRENTLY"
    ) as caught:
        engine.up()
    assert "Fix: set `atomic = False`" in str(caught.value)
    assert {column.name for column in db.get_columns("users")} == {"id", "name"}
    assert indexes(db) == ["user_name"]


CONCURRENT = {
    name: line
    for name, line in INDEXED.items()
    if name not in ("unique index", "unique constraint")
}


@pytest.mark.parametrize("migrate", CONCURRENT.values(), ids=CONCURRENT)
def test_an_index_is_built_concurrently_without_a_transaction(engine, db, write, migrate):
    db.execute_sql("DELETE FROM users WHERE id = 2")
    write("002_index", migration(migrate, options=ONLINE))
    engine.up()
    assert len(indexes(db)) == (1 if "change_fields" in migrate else 2)


def test_a_finished_index_of_a_failed_try_stays(engine, db, write):
    two = """migrator.add_index('users', 'name', 'id')
    migrator.add_index('users', 'name', unique=True, name='one')"""
    write("002_two", migration(two, options=ONLINE))
    with pytest.raises(MigrationFailedError, match="the index one is INVALID"):
        engine.up()
    db.execute_sql("DELETE FROM users WHERE id = 2")
    engine.up()
    assert indexes(db) == ["one", "user_name", "user_name_id"]


def test_an_index_of_the_name_and_another_form_is_an_error(engine, db, write):
    db.execute_sql("CREATE UNIQUE INDEX user_name_id ON users (name, id)")
    write("002_two", migration("migrator.add_index('users', 'name', 'id')", options=ONLINE))
    with pytest.raises(MigrationFailedError, match="already exists"):
        engine.up()


def test_an_index_is_named_as_the_models_name_it(engine, db, write):
    add = "migrator.add_fields('users', nick=pw.CharField(null=True, index=True))"
    write("002_nick", migration(add, "migrator.remove_fields('users', 'nick')", ONLINE))
    back = "migrator.drop_index('users', 'nick', 'name')"
    write("003_pair", migration("migrator.add_index('users', 'nick', 'name')", back, ONLINE))
    engine.up()
    assert indexes(db) == ["user_name", "user_nick", "user_nick_name"]
    engine.down("001_users")
    assert indexes(db) == ["user_name"]
    engine.up("002_nick")
    engine.up()  # by a new migrator, which learns the class from the file
    assert indexes(db) == ["user_name", "user_nick", "user_nick_name"]


def test_a_constant_default_rewrites_no_row(engine, db, write):
    before = db.execute_sql("SELECT ctid, xmin FROM users").fetchall()
    path = "SELECT pg_relation_filepath('users')"
    file = db.execute_sql(path).fetchone()
    write(
        "002_score",
        migration("migrator.add_fields('users', x=pw.IntegerField(default=0))", options=HEAD),
    )
    engine.up()
    assert db.execute_sql("SELECT ctid, xmin FROM users").fetchall() == before
    assert db.execute_sql(path).fetchone() == file
    db.execute_sql("INSERT INTO users (name) VALUES ('of the release before')")
    assert db.execute_sql("SELECT DISTINCT x FROM users").fetchall() == [(0,)]


def test_a_dry_run_shows_the_online_form_and_none_of_our_reads(engine, write):
    migrate = """migrator.add_not_null('users', 'name')
    migrator.add_constraint('users', 'filled', pw.Check("name <> ''"))
    migrator.change_fields('users', name=pw.TextField(index=True))"""
    write("002_strict", migration(migrate, options=HEAD))
    assert [" ".join(statement.split()) for statement in statements(engine)] == [
        REPLACE_PROOF,
        'ALTER TABLE "users" VALIDATE CONSTRAINT "set_not_null_name"',
        'ALTER TABLE "users" ALTER COLUMN "name" SET NOT NULL',
        'ALTER TABLE "users" DROP CONSTRAINT "set_not_null_name"',
        """ALTER TABLE "users" ADD CONSTRAINT "filled" CHECK (name <> '') NOT VALID""",
        'ALTER TABLE "users" VALIDATE CONSTRAINT "filled"',
        'ALTER TABLE "users" ALTER COLUMN "name" TYPE text USING "name"::text',
    ]


def test_not_null_that_failed_half_way_can_be_run_again(engine, db, write):
    db.execute_sql("UPDATE users SET name = NULL WHERE id = 2")
    write("002_strict", migration("migrator.add_not_null('users', 'name')", options=ONLINE))
    with pytest.raises(MigrationFailedError, match="name is NULL in some row"):
        engine.up()
    db.execute_sql("UPDATE users SET name = 'b' WHERE id = 2")
    engine.up()
    nullable = {column.name: column.null for column in db.get_columns("users")}
    assert nullable == {"id": False, "name": False}


def test_the_models_of_files_before_a_table_by_sql_are_learnt(engine, db, write):
    """A replay passes over operations on what only SQL has created."""
    sql = "migrator.sql('CREATE TABLE plain (a integer); ALTER TABLE users ADD z text')"
    write("002_plain", migration(sql))
    migrate = """migrator.add_fields('plain', b=pw.IntegerField(null=True))
    migrator.rename_field('plain', 'a', 'c')
    migrator.drop_not_null('users', 'z')
    migrator.remove_fields('users', 'z')
    migrator.rename_table('plain', 'simple')"""
    write("003_change", migration(migrate, options=HEAD))
    engine.up()
    write(
        "004_change",
        migration(
            "migrator.add_index('users', 'name', 'id')\n    migrator.add_index('simple', 'c')",
            options=ONLINE,
        ),
    )
    Engine(db, engine.folder).up()
    assert "user_name_id" in indexes(db)
    assert {index.name for index in db.get_indexes("simple")} == {"simple_c"}


def test_a_key_to_a_table_that_sql_created_is_learnt(engine, db, write):
    write("002_codes", migration("migrator.sql('CREATE TABLE codes (code char(2) PRIMARY KEY)')"))
    key = "pw.ForeignKeyField(migrator.orm['codes'], null=True, index=False)"
    write("003_key", migration(f"migrator.add_fields('users', code={key})", options=HEAD))
    engine.up()
    use = """migrator.sql("INSERT INTO codes VALUES ('de')")
    User = migrator.orm['User']
    User.create(name='c', code='de')
    assert User.get(name='c').code_id == 'de'
    migrator.remove_fields('users', 'code')
    migrator.remove_model('codes')"""
    write("004_use", migration(use))
    Engine(db, engine.folder).up()
    assert {column.name for column in db.get_columns("users")} == {"id", "name"}


OLDER = """migrator.add_fields('users', uid=pw.UUIDField(default=pw.uuid.uuid4))
    migrator.add_default('users', 'uid', pw.uuid.uuid4)
    migrator.add_fields('users', nick=pw.CharField(unique=True))
    migrator.remove_fields('users', 'nick', 'uid', 'never')
    migrator.drop_index('users', 'never')
    migrator.drop_constraints('users', 'never')
    migrator.remove_model('nothing')"""


def test_a_replay_passes_over_what_an_operation_refuses(engine, db, write):
    """The file was applied by an earlier release."""
    write("002_older", migration("migrator.sql('SELECT 1')"))
    engine.up()
    write("002_older", migration(OLDER, options=HEAD))
    engine.accept("002")
    write("003_index", migration("migrator.add_index('users', 'name', 'id')", options=ONLINE))
    Engine(db, engine.folder).up()
    assert "user_name_id" in indexes(db)


def test_a_partitioned_table_gets_a_plain_index(engine, write):
    sql = "CREATE TABLE parts (a integer) PARTITION BY RANGE (a)"
    write("002_parts", migration(f"migrator.sql('{sql}')"))
    index = migration("migrator.add_index('parts', 'a')", "migrator.drop_index('parts', 'a')")
    write("003_index", index)
    write(
        "004_index",
        index.replace("'a'", "'a', name='other'").replace(
            "drop_index('parts', 'a', ", "drop_index('parts', "
        )
        + "\natomic = False\n",
    )
    engine.up()
    engine.down("002_parts")


def test_the_models_and_the_database_agree_after_operations(engine, db, write):
    migrate = """migrator.add_fields('users', nick=pw.CharField(null=True, unique=True))
    migrator.add_fields('users', boss=pw.ForeignKeyField('self', null=True, on_delete='SET NULL'))
    migrator.add_index('users', 'nick', 'name')"""
    write("002_nick", migration(migrate, options=ONLINE))
    engine.up()

    class User(pw.Model):
        name = pw.CharField(null=True, index=True)
        nick = pw.CharField(null=True, unique=True)
        boss = pw.ForeignKeyField("self", null=True, on_delete="SET NULL")

        class Meta:
            table_name = "users"
            indexes = ((("nick", "name"), False),)

    assert not find_drift(db, [User], ["migratehistory"])
