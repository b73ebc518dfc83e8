"""Schemas that real applications create: their models agree, and no object is left unlisted."""

from beds.conftest import SUMMARY, connected, counts_of_dump, dump, new_database
from beds.entries import count_listing
from beds.source import models_of
from dbfoundation.schema.catalog import read
from dbfoundation.schema.drift import find_drift

PLURALS = {"table": "tables", "column": "columns", "index": "indexes", "constraint": "constraints"}


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
