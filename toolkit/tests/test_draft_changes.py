"""Each change that migrate-check finds is drafted as files, and proven on a table with rows."""

import pytest
from peewee import (
    SQL,
    AutoField,
    BigAutoField,
    BooleanField,
    DateField,
    DateTimeField,
    ForeignKeyField,
    IdentityField,
    IntegerField,
    Model,
    TextField,
)

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


def declare(table, **fields):
    """A model of a table with these fields."""
    meta = type("Meta", (), {"table_name": table, "legacy_table_names": False})
    return type(table.capitalize(), (Model,), fields | {"Meta": meta, "__module__": __name__})


@pytest.mark.parametrize("after", KEYS)
@pytest.mark.parametrize("before", KEYS)
def test_a_renamed_table_gets_another_kind_of_key(drafts, before, after):
    first, second = declare("alphas", id=KEYS[before]()), declare("betas", id=KEYS[after]())
    drafts.write("first", [first])
    drafts.engine.up()
    row = "VALUES (1)" if before == "plain" else "DEFAULT VALUES"
    drafts.execute(f"INSERT INTO alphas {row}")
    drafts.write("second", [second], lambda candidate: candidate.new[0])
    assert drafts.prove([second]) == []
    if after != "plain":
        drafts.execute("INSERT INTO betas DEFAULT VALUES")
        assert drafts.execute("SELECT id FROM betas ORDER BY id").fetchall() == [(1,), (2,)]


def doubled(factor):
    """A generated column with an index, whose name is made of the table's."""
    generated = SQL(f"GENERATED ALWAYS AS (size * {factor}) STORED")
    return IntegerField(null=True, index=True, constraints=[generated])


def test_an_index_that_gets_another_name_is_created_again_with_its_column(drafts):
    tables = [("alphas", 2), ("betas", 3)]
    models = [declare(table, size=IntegerField(), more=doubled(factor)) for table, factor in tables]
    drafts.write("first", models[:1])
    drafts.engine.up()
    drafts.execute("INSERT INTO alphas (size) VALUES (7)")
    drafts.write("second", models[1:], lambda candidate: candidate.new[0])
    assert drafts.prove(models[1:]) == []
    assert drafts.execute("SELECT more FROM betas").fetchall() == [(21,)]


def test_a_foreign_key_that_gets_another_name_is_dropped_while_its_columns_change(drafts):
    sets = []
    for table, field in (("betas", IntegerField), ("gammas", TextField)):
        other = declare("alphas", id=field(primary_key=True))
        sets.append([other, declare(table, name=TextField(), other=ForeignKeyField(other))])
    first, second = sets
    drafts.write("first", first)
    drafts.engine.up()
    drafts.execute("INSERT INTO alphas VALUES (7); INSERT INTO betas VALUES (1, 'x', 7)")
    drafts.write("second", second, lambda candidate: candidate.new[0])
    assert drafts.prove(second) == []
    assert drafts.execute("SELECT other_id FROM gammas").fetchall() == [("7",)]


@pytest.fixture
def change_type(drafts):
    """Drafts another type of a column, and applies what was before; returns the draft's text."""

    def change(before, after, value=None):
        models = [declare("alphas", value=field(null=True)) for field in (before, after)]
        drafts.write("first", models[:1])
        drafts.engine.up()
        drafts.database.execute_sql("INSERT INTO alphas (value) VALUES (%s)", (value,))
        text = drafts.write("second", models[1:])
        assert drafts.prove(models[1:]) == []
        return text

    return change


@pytest.mark.parametrize(
    ("before", "value", "after", "new_value"),
    [
        (BooleanField, True, IntegerField, 1),
        (IntegerField, 1, BooleanField, True),
        (TextField, "7", IntegerField, 7),
    ],
)
def test_a_value_becomes_one_of_the_new_type_and_again_the_old_one(  # noqa: PLR0913, PLR0917
    drafts, change_type, before, value, after, new_value
):
    change_type(before, after, value)
    assert drafts.execute("SELECT value FROM alphas").fetchall() == [(new_value,)]
    drafts.engine.down()
    assert drafts.execute("SELECT value FROM alphas").fetchall() == [(value,)]


LOST = "A rollback cannot restore\n- the values of alphas.value that do not fit into"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (DateTimeField, DateField, f"{LOST} date\n"),
        (TextField, IntegerField, f"{LOST} integer\n"),
        (IntegerField, TextField, "The rollback shortens"),
    ],
)
def test_a_file_says_what_its_rollback_does_not_restore(change_type, before, after, words):
    text = change_type(before, after)
    assert words in text
