"""Schemas that real applications create: their models agree, and no object is left unlisted."""

import re

from beds.bed import DUMP
from beds.conftest import SUMMARY, connected, counts_of_dump, dump, new_database
from beds.entries import count_listing
from dbfoundation.migrations.engine import Engine
from dbfoundation.migrations.stamp import Stamp
from dbfoundation.migrations.verification import Scratch
from dbfoundation.schema.catalog import read
from dbfoundation.schema.drift import find_drift
from dbfoundation.schema.model_source.source import models_of
from dbfoundation.server.databases import scratch_database

POPULATED = "SELECT bool_and(relispopulated) FROM pg_class WHERE relkind = 'm'"
PLURALS = {"table": "tables", "column": "columns", "index": "indexes", "constraint": "constraints"}

MIGRATION = """
irreversible = True

def migrate(migrator, database, *, fake=False):
    migrator.sql({!r})
"""


def describe_drift(database, models):
    return [
        difference.describe("the database", "the model")
        for difference in find_drift(database, models, ())
    ]


def test_the_models_of_a_live_schema_agree_with_it(live):
    with connected(live.settings) as database:
        models = models_of(database)
        assert models.left_out == []
        assert describe_drift(database, models.load()) == []


def test_the_models_agree_after_a_dump_and_restore(live, tmp_path):
    archive = dump(live.server, live.settings, tmp_path / "archive")
    with new_database(live.server, f"{live.bed.application.name} restored") as restored:
        live.server.run("pg_restore", "--no-owner", "--exit-on-error", archive, database=restored)
        with connected(live.settings) as database, connected(restored) as copy:
            models, models_of_copy = models_of(database).load(), models_of(copy).load()
            assert describe_drift(copy, models) == []
            assert describe_drift(database, models_of_copy) == []


def test_a_listing_has_as_many_objects_of_each_kind_as_the_dump(live, tmp_path, record_property):
    archive = dump(live.server, live.settings, tmp_path / "archive")
    with connected(live.settings) as database:
        listed = count_listing(read(database))
    assert listed == counts_of_dump(live.server, archive)
    counts = ", ".join(f"{listed[kind]} {name}" for kind, name in PLURALS.items())
    others = ", ".join(f"{n} {kind}" for kind, n in sorted(listed.items()) if kind not in PLURALS)
    record_property(SUMMARY, f"{live.bed.application.name} on {live.major}: {counts}; {others}")


def test_the_dump_is_recorded_as_the_first_migration_of_its_database(live, tmp_path):
    text = live.server.run("pg_dump", *DUMP, database=live.settings)
    text = re.sub(r"^\\.*", "", text, flags=re.MULTILINE)  # commands of psql
    # pg_dump writes so of each materialized view; those of a loaded dump have no data.
    with connected(live.settings) as database:
        ((is_populated,),) = database.execute_sql(POPULATED).fetchall()
    if is_populated:
        text = text.replace("WITH NO DATA", "WITH DATA")
    (tmp_path / "001_adopted.py").write_text(MIGRATION.format(text.replace("%", "%%")))
    with scratch_database(live.settings) as empty, connected(live.settings) as database:
        stamp = Stamp(Engine(database, tmp_path), "001", ())
        with connected(empty) as copy:
            scratch = Scratch(Engine(copy, tmp_path), copy)
            recorded = stamp.record(scratch, stamp.apply(scratch), anyway=False)
        differences = [difference.describe("live", "file") for difference in stamp.differences]
        assert (differences, [step.name for step in recorded]) == ([], ["001_adopted"])
        database.execute_sql("DROP TABLE migratehistory")
