"""A schema that is read again and again: only the objects that changed in between are read.

A version of a catalog's row carries the transaction that wrote it. Rows that are newer than the
last read, and rows that are missing since, name the objects that changed. Objects that depend on
those are read again with them, because a definition contains the names of others. Any change of a
catalog that RELATIONS does not have, such as that of the functions, reads everything again.

One session at a time may change the schema: the reader would miss a transaction that commits after
a newer one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dbfoundation.schema import catalog
from dbfoundation.schema.comparison import compare
from dbfoundation.schema.queries import NAMESPACES, QUERIES
from dbfoundation.schema.roles import read_roles, role_differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from peewee import PostgresqlDatabase

    from dbfoundation.schema.catalog import Row, SchemaObject
    from dbfoundation.schema.comparison import Difference

# The catalogs of tables, types and their parts, with the columns that name the objects of a row.
RELATIONS = {
    "pg_attrdef": ("adrelid",),
    "pg_attribute": ("attrelid",),
    "pg_class": ("oid",),
    "pg_constraint": ("oid", "conrelid", "contypid"),
    "pg_depend": ("objid",),
    "pg_description": ("objoid",),
    "pg_enum": ("enumtypid",),
    "pg_index": ("indexrelid", "indrelid"),
    "pg_inherits": ("inhrelid",),
    "pg_policy": ("oid",),
    "pg_rewrite": ("oid",),
    "pg_sequence": ("seqrelid",),
    "pg_trigger": ("oid",),
    "pg_type": ("oid",),
}
CATALOGS = f"'{{{', '.join(f'pg_catalog.{name}' for name in RELATIONS)}}}'::regclass[]"
# No part of a schema: statistics, privileges, and large objects.
NO_SCHEMA = (
    *("pg_statistic", "pg_statistic_ext_data", "pg_init_privs", "pg_default_acl"),
    *("pg_largeobject", "pg_largeobject_metadata"),
)
# The other catalogs that the user may read, and a column by which to leave out the server's rows.
OTHERS = """
SELECT c.relname, coalesce(a.attname, '16384') FROM pg_catalog.pg_class c
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'oid'
WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r'
AND (NOT c.relisshared OR c.relname IN ('pg_db_role_setting', 'pg_subscription'))
AND c.relname <> ALL(%s)
AND has_table_privilege(c.oid, 'SELECT')
"""
# Each row of a catalog: an object that it describes, or 0, and its age in transactions. The OIDs
# of a user's objects begin at 16384; 2200 is the schema public.
ROWS = """
SELECT {id} AS id, age(xmin) AS age FROM pg_catalog.{table}
WHERE {column} >= 16384 OR {column} = 2200
"""
CHANGES = """
SELECT count(*), count(*) FILTER (WHERE id = 0),
    array_agg(id::bigint) FILTER (WHERE age <= age($1::xid)),
    (pg_snapshot_xmax(pg_current_snapshot())::text::bigint % (1::bigint << 32))::text
FROM ({rows}) row
"""
COUNTS = "SELECT id::bigint, count(*) FROM ({rows}) row GROUP BY id"
# The objects that depend on changed ones, and those of which a changed one is an internal part: a
# view has a rule, a constraint has an index, a column has a default.
AFFECTED = """
WITH RECURSIVE affected (id) AS (
    SELECT unnest($1)
    UNION
    SELECT dependency.id FROM affected, LATERAL (
        SELECT objid FROM pg_catalog.pg_depend
        WHERE refclassid = ANY({catalogs}) AND refobjid = affected.id
        UNION ALL
        SELECT refobjid FROM pg_catalog.pg_depend
        WHERE classid = ANY({catalogs}) AND objid = affected.id
        AND (deptype = 'i' OR classid = 'pg_catalog.pg_attrdef'::regclass)
    ) dependency (id)
)
SELECT id::bigint FROM affected
"""
READ_KIND = "SELECT '{kind}' AS kind, object.* FROM ({query}) object"
READ_SOME = "SELECT * FROM ({read}) object WHERE id IS NULL OR id = ANY($1)"
OF_ALL_SCHEMAS = {"namespaces": f"ARRAY({NAMESPACES % {'schemas': 'NULL'}})"}
# Every object.
READ = " UNION ALL ".join(
    READ_KIND.format(kind=kind, query=query % OF_ALL_SCHEMAS) for kind, query in QUERIES.items()
)


@dataclass(frozen=True)
class Snapshot:
    """A schema at one moment: its objects by OID, and the rows of the catalogs.

    `horizon` is the first transaction that it does not contain. `rows` is the number of rows,
    `others` that of the catalogs without a relation, `counts` that of each object. `roles` is empty
    unless the reader reads them.
    """

    objects: Mapping[int, Sequence[SchemaObject]]
    horizon: str
    rows: int
    others: int
    counts: Counter[int]
    roles: Mapping[str, str]

    def all(self) -> list[SchemaObject]:
        """Every object of the schema."""
        return [thing for things in self.objects.values() for thing in things]


def differences(left: Snapshot, right: Snapshot) -> list[Difference]:
    """The differences of two snapshots; objects that both of them share are not compared."""
    found = compare(_not_shared(left, right), _not_shared(right, left))
    return found + role_differences(left.roles, right.roles)


def _not_shared(snapshot: Snapshot, other: Snapshot) -> Iterable[SchemaObject]:
    return (
        thing
        for oid, things in snapshot.objects.items()
        if other.objects.get(oid) is not things
        for thing in things
    )


class SchemaReader:
    """Reads the schema of a database on a connection of its own.

    Objects in the schemas of `path` have plain names, all others qualified ones. The objects of the
    table `ignored` are left out. A superuser can also read the roles of the server.
    """

    def __init__(
        self,
        database: PostgresqlDatabase,
        path: Sequence[str],
        ignored: str,
        *,
        with_roles: bool = False,
    ) -> None:
        self.database = database
        self.ignored = ignored
        self.with_roles = with_roles
        others = database.execute_sql(OTHERS, ([*RELATIONS, *NO_SCHEMA],)).fetchall()
        rows = " UNION ALL ".join(
            [
                ROWS.format(id=column, table=table, column=column)
                for table, columns in RELATIONS.items()
                for column in columns
            ]
            + [ROWS.format(id=0, table=table, column=column) for table, column in others]
        )
        catalog.pin_output_settings(database, path, for_session=True)
        database.execute_sql("SET plan_cache_mode = force_generic_plan")
        for statement in (
            f"PREPARE changes (text) AS {CHANGES.format(rows=rows)}",
            f"PREPARE counts AS {COUNTS.format(rows=rows)}",
            f"PREPARE affected (oid[]) AS {AFFECTED.format(catalogs=CATALOGS)}",
            f"PREPARE read_some (oid[]) AS {READ_SOME.format(read=READ)}",
        ):
            database.execute_sql(statement.replace("%", "%%"))
        self.last = self.read_all()

    def read_all(self) -> Snapshot:
        """The schema now; every object is read."""
        rows, others, _, horizon = self._changes("3")  # the server's first own transaction
        objects = self._objects(self._fetch(READ.replace("%", "%%")))
        self.last = Snapshot(objects, horizon, rows, others, self._counts(), self._roles())
        return self.last

    def read(self, expected: Snapshot | None = None) -> Snapshot:
        """The schema now; `expected` itself if no row has changed since that."""
        if expected is None or not self._is_unchanged(expected):
            return self._read_changes()
        self.last = expected
        return expected

    def _is_unchanged(self, since: Snapshot) -> bool:
        rows, _, new, _ = self._changes(since.horizon)
        return rows == since.rows and not new and self._roles() == since.roles

    def _read_changes(self) -> Snapshot:
        """The schema now, from the last one and the objects that differ from it."""
        last = self.last
        rows, others, new, horizon = self._changes(last.horizon)
        if others != last.others or 0 in new:
            return self.read_all()
        only_added = len(new) == rows - last.rows
        counts = last.counts + Counter(new) if only_added else self._counts()
        removed = {oid for oid, count in last.counts.items() if counts[oid] != count}
        affected = self._fetch("EXECUTE affected (%s::oid[])", [*{*new} | removed])
        ids = [oid for (oid,) in affected]
        kept = {oid: things for oid, things in last.objects.items() if oid not in {*ids}}
        found = self._objects(self._fetch("EXECUTE read_some (%s::oid[])", ids))
        self.last = Snapshot(kept | found, horizon, rows, others, counts, self._roles())
        return self.last

    def _changes(self, horizon: str) -> tuple[int, int, list[int], str]:
        """The number of rows, that of the others, the objects of newer rows, and the horizon."""
        ((rows, others, new, next_horizon),) = self._fetch("EXECUTE changes (%s)", horizon)
        return rows, others, new or [], next_horizon

    def _counts(self) -> Counter[int]:
        return Counter(dict(self._fetch("EXECUTE counts")))

    def _roles(self) -> Mapping[str, str]:
        return read_roles(self.database) if self.with_roles else {}

    def _objects(self, rows: Iterable[Row]) -> dict[int, list[SchemaObject]]:
        """The objects by OID; those without one have the key 0."""
        found: dict[int, list[SchemaObject]] = {}
        for kind, *row in rows:
            thing = catalog.object_from(kind, row)
            if self.ignored not in (thing.name, thing.table):
                found.setdefault(row[-1] or 0, []).append(thing)
        return found

    def _fetch(self, statement: str, *values: object) -> list[Any]:
        rows: list[Any] = self.database.execute_sql(statement, values).fetchall()
        return rows
