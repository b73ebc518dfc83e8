"""Each change that migrate-check finds is drafted as files, and proven on a table with rows."""

import pytest
from peewee import AutoField, BigAutoField, IdentityField, IntegerField, Model

from tests.bookshop import BOOKS, BOOKSHOP, Author, Book
from tests.drafting import scratch_drafts
from tests.test_drift import CHANGES

# Undoing a draft does not make an index invalid again, nor disable a foreign key.
NOT_RESTORED = {
    "index invalid": f"{BOOKS}, index in_stock: only the schema before it has INVALID",
    "FK not enforced": (
        f'{BOOKS}, constraint "Order Books_author_id_fkey": only the schema before it has DISABLED'
    ),
}
KEYS = {
    "serial": AutoField,
    "bigserial": BigAutoField,
    "identity": IdentityField,
    "plain": lambda: IntegerField(primary_key=True),
}


@pytest.fixture(scope="module")
def open_drafts(server):
    with scratch_drafts(server) as open_drafts:
        yield open_drafts


@pytest.fixture
def drafts(open_drafts):
    with open_drafts() as drafts:
        yield drafts


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_drafted_and_proven(drafts, name):
    drafts.write("bookshop", BOOKSHOP)
    drafts.engine.up()
    with drafts.database.bind_ctx(BOOKSHOP):
        author = Author.create(email="a@b", name="")
        Book.create(author=author, title="50%", price=1, stock=1, made="2000-01-01", tags={})
    statement, _ = CHANGES[name]
    drafts.execute(statement.format(t=BOOKS))
    drafts.write("change", BOOKSHOP, is_filled=True)
    assert len(drafts.engine.plan().pending) > 0
    problems = [NOT_RESTORED[name]] if name in NOT_RESTORED else []
    assert drafts.prove(BOOKSHOP) == problems
    drafts.engine.up()
    assert drafts.drift(BOOKSHOP) == []
    if name != "dropped table":
        assert drafts.execute(f"SELECT title FROM {BOOKS}").fetchall() == [("50%",)]


def declare(table, key):
    """A model of a table with this key."""
    meta = type("Meta", (), {"table_name": table, "legacy_table_names": False})
    return type(table.capitalize(), (Model,), {"id": key, "Meta": meta, "__module__": __name__})


@pytest.mark.parametrize("after", KEYS)
@pytest.mark.parametrize("before", KEYS)
def test_a_renamed_table_gets_another_kind_of_key(drafts, before, after):
    first, second = declare("alphas", KEYS[before]()), declare("betas", KEYS[after]())
    drafts.write("first", [first])
    drafts.engine.up()
    row = "VALUES (1)" if before == "plain" else "DEFAULT VALUES"
    drafts.execute(f"INSERT INTO alphas {row}")
    drafts.write("second", [second], lambda candidate: candidate.new[0])
    assert drafts.prove([second]) == []
    if after != "plain":
        drafts.execute("INSERT INTO betas DEFAULT VALUES")
        assert drafts.execute("SELECT id FROM betas ORDER BY id").fetchall() == [(1,), (2,)]
