"""Definitions that the server reads alike are no difference, however each of them is spelled."""

import pytest
from peewee import (
    SQL,
    BooleanField,
    CharField,
    Check,
    ForeignKeyField,
    Model,
    TextField,
)

from dbfoundation.runtime.connection import dedicated
from dbfoundation.schema.catalog import read
from dbfoundation.schema.spelling import compare_as_parsed
from tests.bookshop import create_tables, describe_drift
from tests.dumps import restored_database
from tests.support import execute

KNOWN = "state IN ('new', 'sent')"


class Shipment(Model):
    """A table whose definitions the server prints differently after a dump and restore."""

    state = CharField(constraints=[Check(KNOWN, name="state_is_known")])
    label = CharField(
        constraints=[SQL("DEFAULT CASE WHEN 'a'::varchar IN ('a', 'b') THEN 'x' ELSE 'y' END")]
    )
    is_open = BooleanField(null=True, constraints=[SQL(f"GENERATED ALWAYS AS ({KNOWN}) STORED")])
    note = TextField(constraints=[Check("note NOT LIKE '%%\"%%'", name="note_is_plain")])

    class Meta:
        constraints = (
            SQL(f"CONSTRAINT one_open EXCLUDE USING btree (label WITH =) WHERE ({KNOWN})"),
        )


Shipment.add_index(Shipment.note, name="open_ones", where=SQL(KNOWN))
Shipment.add_index(SQL(f"CREATE INDEX by_openness ON shipment (({KNOWN}), note)"))


class Movement(Model):
    """A partitioned table, whose key is an expression."""

    state = CharField()

    class Meta:
        primary_key = False
        table_settings = (f"PARTITION BY LIST (({KNOWN}))",)


class Depot(Model):
    """A table of another schema, with a name that needs quotes."""

    state = CharField(constraints=[Check(KNOWN, name="depot_is_known")])

    class Meta:
        schema = "Far Away"
        table_name = "The Depots"
        constraints = (SQL(f"EXCLUDE USING btree (state WITH =) WHERE ({KNOWN})"),)


Depot.add_index(Depot.state, name="open_depots", where=SQL(KNOWN))
MODELS = [Shipment, Movement, Depot]
SPELLED_ANEW = [
    '"Far Away"."The Depots", constraint depot_is_known',
    '"Far Away"."The Depots", constraint "The Depots_state_excl"',
    '"Far Away"."The Depots", index open_depots',
    "movement",
    "shipment, constraint one_open",
    "shipment, constraint state_is_known",
    "shipment, index by_openness",
    "shipment, index open_ones",
    "shipment.is_open",
    "shipment.label",
]


@pytest.fixture(scope="module")
def original(module_connection):
    """A connection to a database with the models' tables."""
    module_connection.execute_sql('CREATE SCHEMA "Far Away"')
    create_tables(module_connection, *MODELS)
    return module_connection


@pytest.fixture(scope="module")
def restored_settings(original, worker_database):  # noqa: ARG001 # the tables have to exist
    """Settings of another database, restored from a dump of it."""
    with restored_database(worker_database) as other:
        yield other


@pytest.fixture
def live(original):
    """A connection to the original, in a transaction that is rolled back after the test."""
    with original.atomic() as transaction:
        yield original
        transaction.rollback()


@pytest.fixture
def restored(restored_settings):
    """A connection to the restored database, in a transaction that is rolled back, too."""
    connection = dedicated(restored_settings, "test")
    with connection.connection_context(), connection.atomic() as transaction:
        yield connection
        transaction.rollback()


def texts(db):
    """The details of each object, by its subject."""
    return {thing.subject: thing.details for thing in read(db)}


def test_a_dump_and_restore_is_no_difference(live, restored):
    before, after = texts(live), texts(restored)
    assert before.keys() == after.keys()
    changed = sorted(subject for subject in before if before[subject] != after[subject])
    assert changed == sorted(SPELLED_ANEW)
    assert describe_drift(live, MODELS) == []
    assert describe_drift(restored, MODELS) == []


CHANGES = {
    "CHECK": (
        (
            "ALTER TABLE shipment DROP CONSTRAINT state_is_known, ADD CONSTRAINT state_is_known "
            "CHECK (state IN ('new', 'lost'))"
        ),
        "shipment, constraint state_is_known: the database has CHECK",
    ),
    "EXCLUDE": (
        (
            "ALTER TABLE shipment DROP CONSTRAINT one_open, ADD CONSTRAINT one_open "
            "EXCLUDE USING btree (label WITH =) WHERE (state IN ('new'))"
        ),
        "shipment, constraint one_open: the database has EXCLUDE",
    ),
    "DEFAULT": (
        (
            "ALTER TABLE shipment ALTER label SET DEFAULT "
            "CASE WHEN 'a'::varchar IN ('a') THEN 'x' ELSE 'y' END"
        ),
        "shipment.label: the database has DEFAULT",
    ),
    "GENERATED": (
        (
            "ALTER TABLE shipment DROP is_open, ADD is_open boolean "
            "GENERATED ALWAYS AS (state IN ('new')) STORED"
        ),
        "shipment.is_open: the database has GENERATED",
    ),
    "partition key": (
        (
            "DROP TABLE movement; CREATE TABLE movement (state varchar(255) NOT NULL) "
            "PARTITION BY LIST ((state IN ('new')))"
        ),
        "movement: the database has PARTITION BY",
    ),
    "index": (
        "DROP INDEX open_ones; CREATE INDEX open_ones ON shipment (note) WHERE state IN ('new')",
        "shipment, index open_ones: the database has CREATE INDEX",
    ),
    "index of another schema": (
        (
            'DROP INDEX "Far Away".open_depots; '
            'CREATE INDEX open_depots ON "Far Away"."The Depots" (state) '
            "WHERE state IN ('new')"
        ),
        '"Far Away"."The Depots", index open_depots: the database has CREATE INDEX',
    ),
}


@pytest.mark.parametrize(("change", "sentence"), CHANGES.values(), ids=CHANGES)
def test_a_change_in_a_restored_database_is_one_difference(restored, change, sentence):
    restored.execute_sql(change)
    (found,) = describe_drift(restored, MODELS)
    assert found.startswith(sentence)


def test_a_model_with_definitions_copied_from_the_database_agrees_with_it(live):
    query = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s"
    check, exclude = (
        live.execute_sql(query, (name,)).fetchone()[0] for name in ("state_is_known", "one_open")
    )

    class Copied(Shipment):
        state = CharField(constraints=[SQL(f"CONSTRAINT state_is_known {check}")])

        class Meta:
            table_name = "shipment"
            constraints = (SQL(f"CONSTRAINT one_open {exclude}"),)

    Copied._meta.indexes = Shipment._meta.indexes  # Peewee documents _meta
    assert describe_drift(live, [Copied, Movement, Depot]) == []


def test_another_name_in_a_restored_database_is_one_difference(restored):
    restored.execute_sql(
        "ALTER INDEX open_ones RENAME TO ours; "
        'ALTER INDEX "Far Away".open_depots RENAME TO "Ours"; '
        "ALTER TABLE shipment RENAME CONSTRAINT state_is_known TO known; CREATE INDEX ours_too ON "
        "shipment (note) WHERE state IN ('new', 'sent')"
    )
    same, fix = "under another name: the database has", "or give the model this name with name="
    assert describe_drift(restored, MODELS) == [
        (
            f'"Far Away"."The Depots", the same index {same} "Ours", the model open_depots. '
            f'Fix: ALTER INDEX "Far Away"."Ours" RENAME TO open_depots, {fix}'
        ),
        (
            f"shipment, the same constraint {same} known, the model state_is_known. "
            f"Fix: ALTER TABLE shipment RENAME CONSTRAINT known TO state_is_known, {fix}"
        ),
        (
            f"shipment, the same index {same} ours, the model open_ones. "
            f"Fix: ALTER INDEX ours RENAME TO open_ones, {fix}"
        ),
        "shipment, index ours_too: only the database has this index",
    ]


# Objects that no model declares, as migrate-verify compares them

KINDS = {
    "view": (
        "CREATE VIEW of_new AS SELECT id FROM shipment WHERE state IN ('new', 'sent')",
        "DROP VIEW of_new",
        "CREATE VIEW of_new AS {source}",
    ),
    "materialized view": (
        "CREATE MATERIALIZED VIEW of_new AS SELECT id FROM shipment WHERE state IN ('new', 'sent')",
        "DROP MATERIALIZED VIEW of_new",
        "CREATE MATERIALIZED VIEW of_new AS {source}",
    ),
    "rule": (
        (
            "CREATE RULE of_new AS ON DELETE TO shipment WHERE old.state IN ('new', 'sent') "
            "DO INSTEAD NOTHING"
        ),
        "DROP RULE of_new ON shipment",
        "{definition}",
    ),
    "policy": (
        "CREATE POLICY of_new ON shipment USING (state IN ('new', 'sent'))",
        "DROP POLICY of_new ON shipment",
        "CREATE POLICY of_new ON shipment AS {definition}",
    ),
    "trigger": (
        (
            "CREATE TRIGGER of_new BEFORE UPDATE ON shipment FOR EACH ROW "
            "WHEN (old.state IN ('new', 'sent')) "
            "EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        ),
        "DROP TRIGGER of_new ON shipment",
        "{definition}",
    ),
    "type": (
        "CREATE DOMAIN of_new AS varchar CONSTRAINT known CHECK (VALUE IN ('new', 'sent'))",
        "DROP DOMAIN of_new",
        "CREATE {of_new}",
    ),
    "function": (
        (
            "CREATE FUNCTION of_new(s varchar) RETURNS boolean LANGUAGE sql "
            "BEGIN ATOMIC SELECT s IN ('new', 'sent'); END"
        ),
        "DROP FUNCTION of_new",
        "{source}",
    ),
    "statistics": (
        "CREATE STATISTICS of_new ON (state IN ('new', 'sent')), note FROM shipment",
        "DROP STATISTICS of_new",
        "CREATE STATISTICS of_new {definition} FROM shipment",
    ),
    "default of a view's column": (
        (
            "CREATE VIEW of_new AS SELECT label FROM shipment; ALTER VIEW of_new ALTER label "
            "SET DEFAULT CASE WHEN 'a'::varchar IN ('a', 'b') THEN 'x' ELSE 'y' END"
        ),
        "ALTER VIEW of_new ALTER label DROP DEFAULT",
        "ALTER VIEW of_new ALTER label SET {default}",
    ),
}


@pytest.mark.parametrize(("create", "drop", "restore"), KINDS.values(), ids=KINDS)
def test_an_object_that_was_created_from_its_printed_text_is_no_difference(
    live, create, drop, restore
):
    live.execute_sql(create)
    before = read(live)
    thing = next(t for t in before if "of_new" in (t.name, t.name[:6]) and (t.source or t.details))
    column = next((t for t in before if t.name == "of_new.label"), None)
    fields = (column or thing).details | {"source": thing.source}
    fields["of_new"] = fields.get("definition", "").replace("DOMAIN", "DOMAIN of_new AS")
    live.execute_sql(drop)
    live.execute_sql(restore.format(**fields).replace("%", "%%"))
    after = read(live)
    assert before != after
    assert compare_as_parsed(live, before, after, ["public"]) == []
    assert compare_as_parsed(live, after, before, ["public"]) == []
    changed = create.replace("'sent'", "'lost'").replace("'new')", "'old')").replace("'b'", "'c'")
    if "OR REPLACE" not in changed:
        live.execute_sql(drop if column is None else "DROP VIEW of_new")
    live.execute_sql(changed)
    assert len(compare_as_parsed(live, before, read(live), ["public"])) == 1


def test_comparing_changes_nothing_and_needs_no_lock_on_a_table(restored, restored_settings):
    query = "SELECT oid, relname FROM pg_class ORDER BY oid"
    before = execute(restored_settings, query)
    holder = dedicated(restored_settings, "other")
    restored.execute_sql("SET LOCAL lock_timeout = '1s'")
    with holder.connection_context(), holder.atomic():
        holder.execute_sql(
            'LOCK TABLE shipment, movement, "Far Away"."The Depots" IN EXCLUSIVE MODE'
        )
        assert describe_drift(restored, MODELS) == []
    assert execute(restored_settings, query) == before


class Visit(Model):
    """A table that refers to another one, which must not be locked to compare the reference."""

    shipment = ForeignKeyField(Shipment, on_delete="CASCADE")


def test_a_foreign_key_that_differs_locks_nothing(original, worker_database):
    create_tables(original, Visit)
    original.execute_sql(
        "ALTER TABLE visit DROP CONSTRAINT visit_shipment_id_fkey, "
        "ADD CONSTRAINT other FOREIGN KEY (shipment_id) REFERENCES shipment"
    )
    writer = dedicated(worker_database, "other")
    original.execute_sql("SET lock_timeout = '1s'")
    with writer.connection_context(), writer.atomic():
        writer.execute_sql("LOCK TABLE shipment IN ROW EXCLUSIVE MODE")
        assert len(describe_drift(original, [*MODELS, Visit])) == 2
    original.execute_sql("DROP TABLE visit; RESET lock_timeout")
