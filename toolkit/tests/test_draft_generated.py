"""Generated model sets: a draft leads from each to the next one, and back, and keeps the rows."""

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from dbfoundation.schema.comparison import compare
from dbfoundation.schema.ddl.sides import column_name, plain, quote
from tests.drafting import literal, scratch_drafts
from tests.model_sets import model_sets
from tests.support import IS_CI


def generated(examples, examples_in_ci):
    """The settings of a test with a number of examples."""
    return settings(
        max_examples=examples_in_ci if IS_CI else examples,
        database=None,  # no folder of found examples
        deadline=None,
        derandomize=True,  # a failure is that of the change that is tested
        suppress_health_check=[*HealthCheck],
    )


@pytest.fixture(scope="module")
def open_drafts(server):
    with scratch_drafts(server) as open_drafts:
        yield open_drafts


@generated(4, 50)
@given(sets=st.lists(model_sets(), min_size=3, max_size=4))
def test_model_sets_are_drafted_one_after_the_other_and_proven(open_drafts, sets):
    with open_drafts() as drafts:
        for number, models in enumerate(sets):
            note(drafts.write(f"set_{number}", models))
            drafts.engine.up()
            assert drafts.drift(models) == []
        drafts.engine.down(to="zero")
        assert drafts.objects() == []
        assert drafts.prove(sets[-1]) == []


@generated(10, 170)
@given(first=model_sets(), second=model_sets(), is_whole=st.booleans(), renames=st.booleans())
def test_a_draft_between_two_model_sets_keeps_the_rows(
    open_drafts, first, second, is_whole, renames
):
    with open_drafts() as drafts:
        drafts.write("first", first)
        drafts.engine.up()
        omitted = keys_of(first) if renames else moved_keys(first, second)
        insert_rows(drafts, first, omitted, is_whole=is_whole)
        before, rows = drafts.objects(), values(drafts)
        answers = Answers()
        note(drafts.write("second", second, answers.rename if renames else None, is_filled=True))
        drafts.engine.up()
        assert drafts.drift(second) == []
        after = values(drafts)
        kept = {name: answers.new_name(name) for name in rows}
        kept = {old: new for old, new in kept.items() if is_comparable(rows[old], after.get(new))}
        assert {name: after[kept[name]][1] for name in kept} == {n: rows[n][1] for n in kept}
        drafts.engine.down(to="first")
        assert compare(before, drafts.objects()) == []
        restored = values(drafts)
        assert {name: restored[name][1] for name in kept} == {n: rows[n][1] for n in kept}
        drafts.engine.up()
        assert drafts.drift(second) == []


class Answers:
    """The answers of a person who calls everything that can be one a renaming."""

    def __init__(self):
        self.renamed = {}

    def rename(self, candidate):
        names = [name.rpartition(".")[2] for name in candidate.new]
        # A value of another column refers to no row, nor does one that is filled in.
        names = [n for n in names if not n.endswith("_id") and not candidate.old.endswith("_id")]
        if names:
            self.renamed[candidate.old] = names[0]
        return names[0] if names else None

    def new_name(self, column):
        """The name of a column after the renamings, with its table's."""
        for old, new in self.renamed.items():
            table, _, name = column.partition(".")
            if old == column:
                column = f"{table}.{new}"
            elif old == table:
                column = f"{new}.{name}"
        return column


def table_of(model):
    return model._meta.table_name


def keys_of(models):
    """The columns of the foreign keys, with the tables that they refer to."""
    return {
        f"{table_of(model)}.{field.column_name}": table_of(other)
        for model in models
        for field, other in model._meta.refs.items()
    }


def moved_keys(first, second):
    """The foreign keys that refer to another table later, which has no such row."""
    later = keys_of(second)
    return {name for name, table in keys_of(first).items() if later.get(name, table) != table}


def insert_rows(drafts, models, omitted, *, is_whole):
    """A row in each table, with a value in each column, or in those alone that must have one.

    Those with a text as their default have one, too: other types cannot read that text.
    """
    columns = [thing for thing in drafts.objects() if thing.kind == "column"]
    for table in map(table_of, models):
        row = {
            column_name(thing): "5" if thing.name.endswith("id") else literal(thing.details["type"])
            for thing in columns
            if thing.table == quote(table)
            and (
                is_whole
                or thing.details.get("nullability") == "NOT NULL"
                or thing.details.get("default", "").startswith("DEFAULT '")
            )
            and f"{table}.{plain(column_name(thing))}" not in omitted
        }
        names, literals = ", ".join(row), ", ".join(row.values())
        drafts.execute(f"INSERT INTO {quote(table)} ({names}) VALUES ({literals})")


def values(drafts):
    """The type and the value of each column in the only row of each table; names without quotes."""
    columns = [thing for thing in drafts.objects() if thing.kind == "column"]
    rows = {
        table: drafts.execute(f"SELECT to_jsonb(t) FROM {table} t").fetchone()
        for table in {thing.table for thing in columns}
    }
    return {
        f"{plain(thing.table)}.{name}": (thing.details["type"], rows[thing.table][0][name])
        for thing in columns
        if rows[thing.table] and (name := plain(column_name(thing)))
    }


def is_comparable(before, after):
    """Whether a value is to stay as it is: it is no NULL, and the type is the same, or a number."""
    if after is None or before[1] is None:
        return False
    return before[0] == after[0] or {before[0], after[0]} == {"integer", "bigint"}
