"""The place of the history: one table, found in the search_path, and used by its full name."""

import peewee as pw
import pytest

from dbfoundation.errors import AccessDeniedError, DatabaseError
from dbfoundation.migrations.engine import Engine
from dbfoundation.migrations.history import History
from tests.migration_files import applied, creates, migration
from tests.support import assert_error, execute

ODD = 'an "odd" 100%'
QUOTED = '"an ""odd"" 100%"'
STOCK = """
CREATE TABLE {}.migratehistory (
    id SERIAL PRIMARY KEY, name VARCHAR(255) NOT NULL, migrated_at TIMESTAMP NOT NULL
)
"""


@pytest.fixture
def engine(db, tmp_path, write):
    write("001_a", creates("a"))
    write("002_b", creates("b"))
    return Engine(db, tmp_path)


@pytest.fixture
def set_path(db):
    """Creates schemas, and puts them into the search_path of the session."""

    def set_path(*schemas):
        for schema in schemas:
            db.execute_sql(f"CREATE SCHEMA IF NOT EXISTS {schema}".replace("%", "%%"))
        db.execute_sql(f"SET search_path = {', '.join(schemas)}".replace("%", "%%"))

    return set_path


def places(db):
    """The schemas that have a table called migratehistory."""
    query = "SELECT schemaname FROM pg_tables WHERE tablename = 'migratehistory' ORDER BY 1"
    return [name for (name,) in db.execute_sql(query).fetchall()]


def test_a_history_stays_in_use_when_a_schema_comes_before_its_own(engine, db, set_path):
    engine.up(steps=1)
    set_path("shop", "public")
    assert applied(engine) == ["001_a"]
    assert [done.name for done in engine.up()] == ["002_b"]
    assert [done.name for done in engine.down()] == ["002_b"]
    assert places(db) == ["public"]


def test_a_history_of_peewee_migrate_is_adopted_where_it_is(engine, db, set_path):
    db.execute_sql(STOCK.format("public"))
    db.execute_sql("INSERT INTO migratehistory (name, migrated_at) VALUES ('001_a', now())")
    set_path("shop", "public")
    assert [done.name for done in engine.up()] == ["002_b"]
    assert places(db) == ["public"]


def test_a_schema_of_the_users_name_gets_no_second_history(app, settings):
    """`"$user"` is the first schema of PostgreSQL's default search_path."""
    app.invoke("migrate-up")
    execute(settings, "CREATE SCHEMA AUTHORIZATION app")
    try:
        done = app.invoke("migrate-up", "migrate-check")
        assert done.returncode == 0, done
        assert "nothing to apply" in done.stdout
        assert execute(settings, "SELECT to_regclass('app.migratehistory')") == [(None,)]
    finally:
        execute(settings, "DROP SCHEMA app CASCADE")


def test_a_new_history_is_in_the_first_schema_whatever_its_name(engine, db, set_path):
    set_path(QUOTED, "public")
    engine.up()
    assert applied(engine) == ["001_a", "002_b"]
    assert len(engine.redo(2)) == 4
    assert len(engine.accept("001_a")) == 0
    assert engine.up() == []
    assert places(db) == [ODD]


def test_two_histories_in_the_search_path_are_an_error_that_names_both(engine, db, set_path):
    engine.up()
    set_path("shop", "public")
    db.execute_sql(STOCK.format("shop"))
    for work in (engine.plan, engine.up, engine.down, lambda: engine.accept("001")):
        with pytest.raises(DatabaseError) as caught:
            work()
        assert "shop.migratehistory and public.migratehistory" in str(caught.value)
        assert "Fix: rename or drop" in str(caught.value)
    set_path("public")
    assert engine.up() == []


def test_a_history_outside_of_the_search_path_is_an_error_with_two_fixes(engine, db, set_path):
    engine.up()
    set_path("shop")
    for work in (engine.plan, engine.up, History(db).ensure_table):
        with pytest.raises(
            DatabaseError, match=r"is public\.migratehistory, in no schema"
        ) as caught:
            work()
    assert places(db) == ["public"]
    set_path("shop", "public")
    assert engine.up() == []
    set_path("shop")
    db.execute_sql(str(caught.value).partition("in shop: ")[2])  # as the message has it
    engine.report = pytest.fail
    assert [done.name for done in engine.up()] == ["001_a", "002_b"]
    assert places(db) == ["public", "shop"]


def test_a_migration_that_changes_the_search_path_is_recorded_in_the_same_history(
    engine, db, write
):
    db.execute_sql("CREATE SCHEMA shop")
    changes = "migrator.sql(\"SELECT set_config('search_path', 'shop', false)\")"
    write("003_c", migration(changes, changes))
    write("004_d", migration(changes, changes, options="atomic = False"))
    engine.up()
    assert applied(engine)[2:] == ["003_c", "004_d"]
    engine.down(steps=2)
    db.execute_sql("SET search_path = public")
    assert applied(engine) == ["001_a", "002_b"]
    assert places(db) == ["public"]


DIVERT = """
CREATE FUNCTION divert() RETURNS text LANGUAGE sql
AS $$SELECT set_config('search_path', 'shop', false)$$
"""


@pytest.mark.parametrize("options", ["", "atomic = False"])
def test_the_record_does_not_follow_a_change_that_nobody_noticed(engine, db, write, options):
    engine.up()
    db.execute_sql("CREATE SCHEMA shop")
    db.execute_sql(STOCK.format("shop"))
    db.execute_sql(DIVERT)
    divert = "migrator.sql('SELECT public.divert()')"
    write("003_c", migration(divert, divert, options=options))
    engine.up()
    db.execute_sql("SET search_path = public")
    assert applied(engine)[-1] == "003_c"
    engine.down()
    db.execute_sql("SET search_path = public")
    assert applied(engine) == ["001_a", "002_b"]
    assert db.execute_sql("SELECT count(*) FROM shop.migratehistory").fetchone() == (0,)


def test_a_temporary_table_of_this_name_is_no_history(engine, db):
    engine.up(steps=1)
    db.execute_sql("CREATE TEMP TABLE migratehistory (LIKE public.migratehistory)")
    assert [done.name for done in engine.up()] == ["002_b"]


@pytest.mark.parametrize(
    "foreign",
    [
        "CREATE TABLE migratehistory (bird text)",
        "CREATE TABLE migratehistory ()",
        "CREATE VIEW migratehistory AS SELECT 1 AS id, 'x' AS name, now() AS migrated_at",
        "CREATE SEQUENCE migratehistory",
    ],
)
def test_another_thing_of_this_name_is_an_error_with_a_fix(app, settings, foreign):
    execute(settings, foreign)
    for task in ("migrate-status", "migrate-up"):
        done = app.invoke(task)
        assert_error(done, "public.migratehistory is not a history of migrations", "Fix: rename")
    assert execute(settings, "SELECT to_regclass('audit_log')") == [(None,)]


def test_another_thing_of_this_name_does_not_hide_the_history(engine, db, set_path):
    engine.up(steps=1)
    set_path("shop", "public")
    db.execute_sql("CREATE TABLE shop.migratehistory (bird text)")
    assert [done.name for done in engine.up()] == ["002_b"]


def test_no_schema_in_the_search_path_is_an_error_with_a_fix(engine, db):
    db.execute_sql("SET search_path = nowhere")
    with pytest.raises(DatabaseError, match=r"none in the search_path exists.*\nFix: create one"):
        engine.up()


@pytest.fixture
def limited(db):
    """A role of the test's own, which the session takes."""
    db.execute_sql("CREATE ROLE limited")
    db.execute_sql("GRANT USAGE ON SCHEMA public TO limited")
    yield "SET ROLE limited"
    db.execute_sql("RESET ROLE")
    db.execute_sql("DROP OWNED BY limited")
    db.execute_sql("DROP ROLE limited")


def test_a_user_who_may_not_create_the_history_gets_the_grant_to_ask_for(engine, db, limited):
    db.execute_sql(limited)
    with pytest.raises(AccessDeniedError, match="permission denied for schema public") as caught:
        engine.up()
    assert "Fix: GRANT CREATE, USAGE ON SCHEMA public" in str(caught.value)


def test_a_user_who_may_not_convert_the_history_is_sent_to_its_owner(engine, db, limited):
    db.execute_sql(STOCK.format("public"))
    db.execute_sql("GRANT ALL ON migratehistory TO limited")
    db.execute_sql(limited)
    with pytest.raises(AccessDeniedError, match="must be owner of table") as caught:
        engine.up()
    assert "Fix: run it once as the owner of public.migratehistory" in str(caught.value)


def test_a_user_who_may_not_read_the_history_gets_the_grant_to_ask_for(engine, db, limited):
    engine.up(steps=1)
    db.execute_sql(limited)
    with pytest.raises(AccessDeniedError, match="permission denied for table") as caught:
        engine.plan()
    assert "Fix: GRANT SELECT ON public.migratehistory TO this user." in str(caught.value)


def test_a_plan_without_a_table_is_found_in_one_round_trip(engine, db, monkeypatch):
    sent = []
    execute_sql = pw.PostgresqlDatabase.execute_sql
    monkeypatch.setattr(
        db, "execute_sql", lambda *args: sent.append(args) or execute_sql(db, *args)
    )
    engine.plan()
    assert len(sent) == 1
    engine.up()
    sent.clear()
    assert engine.up() == []
    assert len(sent) == 2
