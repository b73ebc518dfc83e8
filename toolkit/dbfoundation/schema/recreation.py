"""Objects that are created again from their printed text, in scratch schemas.

A table is created there with its columns alone, and then each part of it from its own text. Nothing
outside of the scratch schemas is changed or locked against writing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import uuid4

from peewee import DatabaseError, OperationalError

from dbfoundation.schema import catalog
from dbfoundation.schema.comparison import key_of
from dbfoundation.schema.constants import normalize_default
from dbfoundation.schema.scratch import execute_text, rename

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from peewee import PostgresqlDatabase

    from dbfoundation.schema.catalog import SchemaObject
    from dbfoundation.schema.comparison import Key

SCHEMA = r'(?:"(?:[^"]|"")+"|[^".(]+)\.'  # in front of a name
ROUTINE = re.compile(rf"CREATE OR REPLACE (?:FUNCTION|PROCEDURE) ({SCHEMA})")
# The statement for an object of each kind, except a table and its columns, which exist before.
STATEMENTS = {
    "function": "{moved_source}",
    "view": "CREATE {variant} VIEW {name} AS {source} {no_data}",
    "type": "CREATE DOMAIN {name} AS {domain}",
    "constraint": "ALTER TABLE {table} ADD CONSTRAINT {name} {definition}",
    "index": "{moved_definition}",
    "trigger": "{moved_definition}",
    "rule": "{moved_definition}",
    "policy": "CREATE POLICY {name} ON {table} AS {definition}",
    "statistics": "CREATE STATISTICS {name} {definition} FROM {table}",
}


def is_creatable(thing: SchemaObject) -> bool:
    """Whether an object has a text of which it can be created again on its own."""
    if thing.kind == "constraint":
        # No other one has an expression, and a foreign key locks the table that it refers to.
        return thing.details["definition"].startswith(("CHECK", "EXCLUDE"))
    return thing.kind in (*STATEMENTS, "table", "column")


def create_again(
    database: PostgresqlDatabase,
    objects: Sequence[SchemaObject],
    keys: Collection[Key],
    path: Sequence[str],
) -> dict[Key, SchemaObject]:
    """The objects of these keys, with the text that the server prints after it read their own.

    Those that it rejects are missing. `objects` has the columns of their tables, too.
    """
    places = Places(thing.table or thing.name for thing in objects if key_of(thing) in keys)
    path = [places.home, *path]
    kinds = {"table", "view"} | {thing.kind for thing in objects if key_of(thing) in keys}
    with database.atomic() as transaction:
        if not _accepts(database, "; ".join(f"CREATE SCHEMA {name}" for name in places.schemas)):
            return {}  # an event trigger may forbid it
        catalog.pin_output_settings(database, path)
        created = {key_of(t): t for t in _create(database, objects, keys, places)}
        printed = [
            rename(thing, places.schemas | _home_schema(created.get(key_of(thing)), places.home))
            for thing in catalog.read(database, schemas=[*places.schemas], path=path, kinds=kinds)
        ]
        printed = [normalize_default(database, thing, places.home) for thing in printed]
        transaction.rollback()
    return {key: thing for thing in printed if (key := key_of(thing)) in created}


def qualifier(name: str) -> str:
    """The schema and the dot in front of a printed name; empty for a plain one."""
    found = re.match(SCHEMA, name)
    return found[0] if found else ""


class Places:
    """The scratch schema for each name: `home` for plain names, another one for each schema."""

    def __init__(self, names: Iterable[str]) -> None:
        self.home = f"again_{uuid4().hex}"
        found = sorted({qualifier(name) for name in names} - {""})
        self.prefixes = {schema: f"{self.home}_{n}." for n, schema in enumerate(found)}

    @property
    def schemas(self) -> dict[str, str]:
        """The schema that each scratch schema stands for, as the server writes its name."""
        return {self.home: self.home} | {
            scratch[:-1]: schema[:-1] for schema, scratch in self.prefixes.items()
        }

    def move(self, name: str) -> str:
        """The name of an object in its scratch schema."""
        schema = qualifier(name)
        return self.prefixes.get(schema, f"{self.home}.") + name.removeprefix(schema)


def _create(
    database: PostgresqlDatabase,
    objects: Sequence[SchemaObject],
    keys: Collection[Key],
    places: Places,
) -> list[SchemaObject]:
    """Create the objects of these keys, and the tables of the parts; returns the accepted ones.

    The text of a function or view means the live tables, and that of a table's part the live types.
    """
    chosen = {key_of(thing): thing for thing in objects if key_of(thing) in keys}.values()
    columns: dict[str, list[SchemaObject]] = {thing.table or thing.name: [] for thing in chosen}
    for thing in objects:
        if thing.kind == "column" and thing.table in columns:
            columns[thing.table].append(thing)
    queries, types = ("function", "view"), ("type",)
    done = _accepted(database, [(t, _statements(t, places)) for t in chosen if t.kind in queries])
    relations = [
        (thing, _relation(thing, columns[thing.name], places))
        for thing in objects
        if thing.kind in ("table", "view") and thing.name in columns and thing not in done
    ]
    _accepted(database, relations)
    parts = [thing for thing in chosen if thing.kind not in queries + types]
    for things in (parts, [thing for thing in chosen if thing.kind in types]):
        done += _accepted(database, [(thing, _statements(thing, places)) for thing in things])
    return done


def _accepted(
    database: PostgresqlDatabase, statements: Sequence[tuple[SchemaObject, str]]
) -> list[SchemaObject]:
    """Run the statements together, or else each half of them; returns those that the server runs.

    An object that a statement needs may be missing by now.
    """
    if not statements or _accepts(database, ";\n".join(text for _, text in statements)):
        return [thing for thing, _ in statements]
    half = len(statements) // 2
    halves = (statements[:half], statements[half:]) if half else ()
    return [thing for part in halves for thing in _accepted(database, part)]


def _accepts(database: PostgresqlDatabase, statement: str) -> bool:
    try:
        with database.atomic():
            execute_text(database, statement)
    except OperationalError:  # a lock or the connection, which is no answer about the text
        raise
    except DatabaseError:
        return False
    return True


def _relation(relation: SchemaObject, columns: Iterable[SchemaObject], places: Places) -> str:
    """The statement for a table or view with these columns alone."""
    name, variant = places.move(relation.name), relation.details.get("variant")
    parts = {_column(thing): thing.details for thing in columns}
    if relation.kind == "view" and variant != "MATERIALIZED":  # which has indexes, as a table
        values = ", ".join(f"NULL::{details['type']} AS {c}" for c, details in parts.items())
        return f"CREATE VIEW {name} AS SELECT {values}"
    types = (f"{c} {d['type']} {d.get('collation', '')}" for c, d in parts.items())
    return f"CREATE TABLE {name} ({', '.join(types)}) {relation.details.get('partitioning', '')}"


def _column(thing: SchemaObject) -> str:
    return thing.name.removeprefix(f"{thing.table}.")


def _statements(thing: SchemaObject, places: Places) -> str:
    """The statements for an object whose table or view exists."""
    if thing.kind == "column":
        return _column_statements(thing, places)
    if thing.kind == "table":
        return "SELECT"  # it exists, with its partitioning
    details = {"definition": "", **thing.details}
    table = thing.table or ""
    before_table = re.compile(rf"( (?:ON|TO|FROM)(?: ONLY)? ){re.escape(table)}(?=\s)")
    moved = before_table.sub(
        lambda found: found[1] + places.move(table), details["definition"], count=1
    )
    name = thing.name if thing.kind in ("constraint", "policy") else places.move(thing.name)
    return STATEMENTS[thing.kind].format(
        name=name,
        table=places.move(table),
        definition=details["definition"],
        domain=details["definition"].removeprefix("DOMAIN "),
        moved_definition=moved,
        variant=details.get("variant", ""),
        source=(thing.source or "").removesuffix(";"),
        no_data="WITH NO DATA" if details.get("variant") == "MATERIALIZED" else "",
        moved_source=_move_routine(thing, places),
    )


def _column_statements(thing: SchemaObject, places: Places) -> str:
    table, column, details = places.move(thing.table or ""), _column(thing), thing.details
    if "default" in details:
        return f"ALTER TABLE {table} ALTER {column} SET {details['default']}"
    if "generation" in details:
        kind = f"{details['type']} {details.get('collation', '')} {details['generation']}"
        return f"ALTER TABLE {table} DROP {column}, ADD {column} {kind}"
    return "SELECT"  # it exists, with neither


def _move_routine(thing: SchemaObject, places: Places) -> str:
    """The text of a function, which always names the function's schema, in its scratch schema."""
    found = ROUTINE.match(thing.source or "")
    if not found:
        return thing.source or ""
    before, after = found[0].removesuffix(found[1]), (thing.source or "")[found.end() :]
    return before + places.move(thing.name).partition(".")[0] + "." + after


def _home_schema(thing: SchemaObject | None, home: str) -> dict[str, str]:
    """The schema that a function's text has in place of the scratch schema for plain names."""
    found = ROUTINE.match(thing.source or "") if thing else None
    return {home: found[1][:-1]} if found else {}
