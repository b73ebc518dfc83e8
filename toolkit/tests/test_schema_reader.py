"""The reader of changes: after each statement it has what a reader of everything has."""

import pytest

from dbfoundation.runtime.connection import dedicated
from dbfoundation.schema import catalog
from dbfoundation.schema.reader import SchemaReader, differences
from tests import one_of_everything
from tests.support import only_in_ci

BEFORE = """
CREATE TABLE authors (id serial PRIMARY KEY, name varchar(100) NOT NULL DEFAULT 'x');
CREATE TABLE books (
    id serial PRIMARY KEY, author integer REFERENCES authors, title text, kind text
);
CREATE VIEW titles AS SELECT title, name FROM books JOIN authors ON authors.id = author;
CREATE TYPE mood AS ENUM ('good'); CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE INDEX by_title ON books (title); CREATE SEQUENCE numbers;
CREATE TABLE parts (id integer) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (9);
CREATE TABLE high (id integer);
COMMENT ON TABLE books IS 'all'; COMMENT ON COLUMN books.title IS 'the name'
"""
STATEMENTS = """
ALTER TABLE authors RENAME TO writers
ALTER TABLE writers RENAME COLUMN name TO full_name
ALTER TABLE writers ALTER full_name DROP DEFAULT
ALTER TABLE books DROP CONSTRAINT books_author_fkey
ALTER TABLE books ADD FOREIGN KEY (author) REFERENCES writers ON DELETE CASCADE
ALTER TABLE books DISABLE TRIGGER ALL
ALTER INDEX by_title RENAME TO by_name
ALTER INDEX books_pkey SET (fillfactor = 70)
ALTER TABLE books REPLICA IDENTITY USING INDEX books_pkey
ALTER TABLE books REPLICA IDENTITY DEFAULT
COMMENT ON COLUMN books.title IS NULL
COMMENT ON INDEX by_name IS 'an index'
COMMENT ON SCHEMA public IS 'changed'
COMMENT ON SCHEMA public IS NULL
ALTER SEQUENCE numbers OWNED BY books.id
ALTER SEQUENCE numbers OWNED BY NONE
ALTER SEQUENCE books_id_seq INCREMENT 2
ALTER TABLE books ALTER kind TYPE mood USING 'good'
ALTER TYPE mood RENAME TO feeling
ALTER TYPE feeling ADD VALUE 'bad'
ALTER TYPE feeling RENAME VALUE 'good' TO 'best'
ALTER DOMAIN short DROP CONSTRAINT short_check
ALTER DOMAIN short SET NOT NULL
CREATE OR REPLACE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 2'
ALTER TABLE parts ATTACH PARTITION high FOR VALUES FROM (9) TO (99)
ALTER TABLE parts DETACH PARTITION low
ALTER TABLE low RENAME TO lowest
CREATE INDEX on_parts ON parts (id)
ALTER TABLE books ENABLE ROW LEVEL SECURITY
CREATE POLICY mine ON books USING (id > 1)
ALTER POLICY mine ON books USING (id > 2)
CREATE TRIGGER touched BEFORE UPDATE ON books FOR EACH ROW
    EXECUTE FUNCTION suppress_redundant_updates_trigger()
ALTER TABLE books ENABLE ALWAYS TRIGGER touched
CREATE RULE kept AS ON DELETE TO books DO INSTEAD NOTHING
CREATE OR REPLACE VIEW titles AS SELECT title, full_name AS name, 1 AS one
    FROM books JOIN writers ON writers.id = author
ALTER VIEW titles SET (security_barrier)
CREATE SCHEMA other
ALTER TABLE writers SET SCHEMA other
ALTER SCHEMA other RENAME TO another
CREATE FUNCTION another.length(text) RETURNS integer LANGUAGE sql AS 'SELECT 1'
DROP TABLE books CASCADE
DROP SCHEMA another CASCADE
CREATE TEMP TABLE passing (id integer)
"""


@pytest.fixture
def second(settings):
    database = dedicated(settings, "second")
    with database.connection_context():
        yield database


def key(thing):
    return thing.kind, thing.name, thing.table or ""


def everything(db):
    return sorted(catalog.read(db, path=["public"]), key=key)


def test_after_each_statement_the_reader_has_every_object(db, second):
    db.execute_sql(BEFORE)
    reader = SchemaReader(second, ["public"], "migratehistory")
    for statement in STATEMENTS.strip().replace("\n    ", " ").splitlines():
        db.execute_sql(statement)
        assert sorted(reader.read().all(), key=key) == everything(db), statement


@only_in_ci
def test_one_of_everything_is_read_as_by_the_catalog(db, second):
    reader = SchemaReader(second, ["public"], "migratehistory")
    empty = reader.last
    for statement in one_of_everything.STATEMENTS:
        db.execute_sql(statement)
        assert sorted(reader.read().all(), key=key) == everything(db), statement
    assert len(differences(empty, reader.last)) > len(empty.all())


def test_a_schema_whose_rows_are_the_same_is_the_same_object(db, second):
    db.execute_sql(BEFORE)
    reader = SchemaReader(second, ["public"], "migratehistory")
    before = reader.last
    db.execute_sql("CREATE TABLE more (id serial PRIMARY KEY)")
    assert [each.subject for each in differences(reader.read(), before)] == ["more"]
    db.execute_sql("DROP TABLE more")
    assert reader.read(before) is before


def test_only_the_objects_of_a_changed_table_are_compared(db, second):
    db.execute_sql(BEFORE)
    reader = SchemaReader(second, ["public"], "migratehistory")
    before = reader.last
    db.execute_sql("ALTER TABLE authors ADD born date")
    after = reader.read(before)
    assert [each.subject for each in differences(after, before)] == ["authors.born"]
    kept = [oid for oid in before.objects if after.objects[oid] is before.objects[oid]]
    assert 0 < len(kept) < len(before.objects)
    db.execute_sql("ALTER TABLE authors DROP born")
    assert differences(reader.read(before), before) == []


def test_the_ignored_table_is_left_out(db, second):
    reader = SchemaReader(second, ["public"], "migratehistory")
    db.execute_sql("CREATE TABLE migratehistory (id serial PRIMARY KEY, name text)")
    assert {thing.kind for thing in reader.read().all()} == {"schema", "extension"}
