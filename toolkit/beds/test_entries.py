"""The objects of a dump are counted as the listing counts them, for one object of every kind."""

from beds.conftest import connected, counts_of_dump, dump, new_database
from beds.entries import count_dump, count_listing
from dbfoundation.schema.catalog import read
from tests.one_of_everything import STATEMENTS


def test_one_of_everything_is_counted_alike(server, tmp_path):
    with new_database(server, "everything") as settings:
        for statement in STATEMENTS:
            server.run("psql", "-qXc", statement, database=settings)
        with connected(settings) as database:
            listed = count_listing(read(database))
        archive = dump(server, settings, tmp_path / "archive")
        assert listed == counts_of_dump(server, archive)


def test_the_columns_and_checks_in_the_text_of_a_table_are_counted():
    contents = "1; 1259 1 TABLE public a b postgres\n2; 1259 2 ACL public a postgres\n"
    body = "    one integer,\n    CONSTRAINT two CHECK ((one > 0))\n"
    text = f'CREATE TABLE public."a b" (\n{body});\n'
    assert count_dump(contents, text) == {"table": 1, "column": 1, "constraint": 1}


def test_an_entry_of_an_unknown_kind_is_counted():
    assert count_dump("3; 0 0 NEW KIND public c postgres\n", "") == {"new kind": 1}
