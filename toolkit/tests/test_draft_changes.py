"""Each change that migrate-check finds is drafted as files, and proven on a table with rows."""

import pytest
from peewee import SQL, AutoField, BigAutoField, IdentityField, IntegerField, Model, TextField

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
    print(drafts.write("change", BOOKSHOP, is_filled=True))
    assert len(drafts.engine.plan().pending) > 0
    problems = [NOT_RESTORED[name]] if name in NOT_RESTORED else []
    assert drafts.prove(BOOKSHOP) == problems
    drafts.engine.up()
    assert drafts.drift(BOOKSHOP) == []
    if name != "dropped table":
        assert drafts.execute(f"SELECT title FROM {BOOKS}").fetchall() == [("50%",)]


def declare(table, indexes=(), **fields):
    """A model of a table."""
    meta = type("Meta", (), {"table_name": table, "legacy_table_names": False})
    model = type(table.capitalize(), (Model,), fields | {"Meta": meta, "__module__": __name__})
    for index in indexes:
        model.add_index(SQL(index))
    return model


def rename_to(*names):
    return lambda candidate: next(n for n in candidate.new if n.rpartition(".")[2] in names)


@pytest.mark.parametrize("after", KEYS)
@pytest.mark.parametrize("before", KEYS)
def test_a_renamed_table_gets_another_kind_of_key(drafts, before, after):
    first, second = declare("alphas", id=KEYS[before]()), declare("betas", id=KEYS[after]())
    drafts.write("first", [first])
    drafts.engine.up()
    row = "VALUES (1)" if before == "plain" else "DEFAULT VALUES"
    drafts.execute(f"INSERT INTO alphas {row}")
    print(drafts.write("second", [second], rename_to("betas")))
    assert drafts.prove([second]) == []
    if after != "plain":
        drafts.execute("INSERT INTO betas DEFAULT VALUES")
        assert drafts.execute("SELECT id FROM betas ORDER BY id").fetchall() == [(1,), (2,)]
