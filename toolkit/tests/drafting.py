"""Drafts as a person handles them: files in a folder, filled in, and proven by the engine."""

import ast
import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from dbfoundation.migrations.draft import draft_files
from dbfoundation.migrations.draft_proof import find_problems
from dbfoundation.migrations.engine import Engine
from dbfoundation.migrations.files import new_names, write
from dbfoundation.migrations.history import TABLE
from dbfoundation.migrations.verification import Scratch
from dbfoundation.runtime.connection import dedicated
from dbfoundation.schema.catalog import read
from dbfoundation.schema.ddl.renaming import Answers, changes_of
from dbfoundation.schema.ddl.sides import column_name
from dbfoundation.schema.ddl.types import placeholder
from dbfoundation.schema.drift import read_sides
from dbfoundation.schema.ignored import without_ignored
from dbfoundation.schema.wanted import DECLARABLE
from dbfoundation.server.databases import scratch_database
from tests.bookshop import describe_drift

IGNORED = {TABLE}
PLACE = re.compile(
    r"(Set|Check that each|Shorten each) (.+?)"
    r"(?: in each row| where it is NULL| can be read as .+| that does not fit into .+)"
    r"; then remove this line\."
)
RETYPED = re.compile(
    r"(?P<start>ALTER TABLE (?P<table>.+) ALTER COLUMN (?P<column>.+)"
    r" TYPE (?P<type>.+?)(?: COLLATE \S+)?)(?: USING .+)?"
)
# The values of the tests' rows can be read as each of these.
ALIKE = ("character", "text", "smallint", "integer", "bigint", "numeric", "double")


@dataclass(frozen=True)
class Drafts:
    """A folder of migrations, and the scratch database that it belongs to."""

    scratch: Scratch

    @property
    def engine(self):
        return self.scratch.engine

    @property
    def database(self):
        return self.scratch.engine.database

    def write(self, name, models, ask=None, *, is_filled=False):
        """Write the draft that leads to the models; returns the texts of its files.

        Its places are filled in, or left out as in the proof of a draft. Without `ask`, each
        question is answered with "dropped".
        """
        folder = self.engine.folder
        ask = ask or (lambda _: None)
        sides = read_sides(self.database, models, IGNORED)
        files = draft_files(changes_of(self.database, sides, Answers(), ask))
        names = new_names(folder, name, [file.suffix for file in files])
        texts = []
        for new, file in zip(names, files, strict=True):
            text = file.text(name, with_todo=is_filled)
            if is_filled and file.has_todo:
                text = fill_in(text, {t.name: t for t in sides.wanted if t.kind == "column"})
            write(folder, new, text)
            texts.append(text)
        return "\n\n".join(texts)

    def prove(self, models):
        """The problems of the files that are not applied yet."""
        self.scratch.second.execute_sql("DISCARD ALL")  # the statements of the last proof
        return find_problems(self.scratch, read_sides(self.database, models, IGNORED))

    def drift(self, models):
        return describe_drift(self.database, models, IGNORED)

    def objects(self):
        return without_ignored(read(self.database, kinds=DECLARABLE), IGNORED)

    def execute(self, statement):
        return self.database.execute_sql(statement.replace("%", "%%"))


@contextmanager
def scratch_drafts(server):
    """A function that opens drafts in a new folder; all use one database, empty each time."""
    with scratch_database(server) as scratch:
        database, second = dedicated(scratch, "drafts"), dedicated(scratch, "second")
        with database.connection_context(), second.connection_context():
            yield partial(_open_drafts, database, second)


@contextmanager
def _open_drafts(database, second):
    with TemporaryDirectory(prefix="drafts-") as folder:
        try:
            yield Drafts(Scratch(Engine(database, Path(folder)), second))
        finally:
            database.execute_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")


def fill_in(text, columns):
    """The text of a draft with a value at each place, for rows of literals."""
    lines = text.splitlines(keepends=True)
    nodes = [
        node
        for function in ast.parse(text).body
        if isinstance(function, ast.FunctionDef)
        for node in function.body
    ]
    marked = {column for node in nodes if (column := _marked(node, columns))}
    types = {}
    for node in nodes:
        if found := _retyped(node):
            types.setdefault((found["table"], found["column"]), []).append(found["type"])
    for node in reversed(nodes):
        found = _retyped(node)
        if isinstance(node, ast.Raise):
            kind, name = _place(node)
            filled = [_update(columns[name])] if kind == "Set" else []
        elif found and (found["table"], found["column"]) in marked:
            place = (found["table"], found["column"])
            if all(name.startswith(ALIKE) and name[-1] != "]" for name in types[place]):
                continue
            filled = [f"{found['start']} USING {literal(found['type'])}::{found['type']}"]
        else:
            continue
        calls = [f"    migrator.sql({sql!r})\n" for sql in filled]
        lines[node.lineno - 1 : node.end_lineno] = calls
    return "".join(lines)


def literal(data_type):
    """A value of a type; a text is a number, which other types can read."""
    is_text = data_type.startswith(("character", "text"))
    return "'0'" if is_text else placeholder(data_type)


def _place(node):
    """The kind of a place to fill in, and the name of its column."""
    return PLACE.fullmatch(node.exc.args[0].value).groups()


def _marked(node, columns):
    """The table and the column of a place at a change of a type."""
    if not isinstance(node, ast.Raise) or _place(node)[0] == "Set":
        return None
    column = columns[_place(node)[1]]
    return column.table, column_name(column)


def _retyped(node):
    """The parts of a statement that changes a type."""
    match node:
        case ast.Expr(ast.Call(args=[ast.Constant(statement)])):
            return RETYPED.fullmatch(statement)
    return None


def _update(column):
    name = column_name(column)
    value = literal(column.details["type"])
    return f"UPDATE {column.table} SET {name} = {value} WHERE {name} IS NULL"
