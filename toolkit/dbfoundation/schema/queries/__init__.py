"""The queries that read a schema out of pg_catalog, alike on PostgreSQL 15 to 18."""

from dbfoundation.schema.queries import (
    database,
    foreign,
    operators,
    routines,
    tables,
    text_search,
    types,
)

NAMESPACES = """
SELECT oid FROM pg_namespace
WHERE CASE WHEN %(schemas)s::text[] IS NULL
    THEN nspname !~ '^pg_' AND nspname <> 'information_schema'
    ELSE nspname = ANY(%(schemas)s)
END
"""
# Each returns for an object: its table or view, its name as SQL writes it, a column's number, its
# details, its source, and the catalog and the OID of its comment. Functions are qualified, because
# a function in the session's search_path could match an argument better.
SUBQUERIES = (
    database.SUBQUERIES
    | types.SUBQUERIES
    | routines.SUBQUERIES
    | operators.SUBQUERIES
    | text_search.SUBQUERIES
    | foreign.SUBQUERIES
    | tables.SUBQUERIES
)
WITH_COMMENT = """
SELECT owner, name, place, details, source, 'COMMENT ' || pg_catalog.quote_literal(description), id
FROM ({subquery}) object (owner, name, place, details, source, catalog, id)
LEFT JOIN pg_description ON classoid = catalog AND objoid = id AND objsubid = place
"""
# An object's name as SQL writes it, for the catalogs without a type such as regclass. The prefix is
# that of the catalog's columns; `n` is the namespace.
NAME = """pg_catalog.concat(CASE WHEN NOT pg_catalog.{visible}(x.oid)
    THEN pg_catalog.quote_ident(n.nspname) || '.' END, pg_catalog.quote_ident(x.{prefix}name))"""
VISIBLE = {
    "con": "pg_conversion_is_visible",
    "opc": "pg_opclass_is_visible",
    "opf": "pg_opfamily_is_visible",
    "prs": "pg_ts_parser_is_visible",
    "stx": "pg_statistics_obj_is_visible",
    "tmpl": "pg_ts_template_is_visible",
}
# The options of a foreign object, without the values of those that may be a secret.
OPTIONS = """(
    SELECT 'OPTIONS (' || pg_catalog.string_agg(pg_catalog.regexp_replace(
        o, '^([^=]*(pass|secret|token|key)[^=]*)=.*', '\\1=***', 'i'), ', ' ORDER BY o) || ')'
    FROM pg_catalog.unnest({column}) o
)"""
OPTION_COLUMNS = ("fdwoptions", "srvoptions", "umoptions", "ftoptions", "a.attfdwoptions")
TABLESPACE = """(
    SELECT 'TABLESPACE ' || pg_catalog.quote_ident(spcname)
    FROM pg_tablespace s WHERE s.oid = {table}.reltablespace
)"""
PARTS = {
    "any_namespace": "ANY(%(namespaces)s::oid[])",
    "not_from_extension": """NOT EXISTS (
        SELECT FROM pg_depend e
        WHERE e.classid = x.tableoid AND e.objid = x.oid AND e.deptype = 'e'
    )""",
    # How triggers and rules fire, except in the default way.
    "firing": """
        WHEN 'D' THEN 'DISABLED' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS'
    END""",
    # The server's own objects have lower OIDs.
    "made_here": "x.oid >= 16384",
    **{
        f"name_of_{prefix}": NAME.format(visible=visible, prefix=prefix)
        for prefix, visible in VISIBLE.items()
    },
    **{
        f"options_of_{column.removeprefix('a.')}": OPTIONS.format(column=column)
        for column in OPTION_COLUMNS
    },
    **{f"tablespace_of_{table}": TABLESPACE.format(table=table) for table in "xn"},
}
# A query for each kind of object, with the OIDs of the namespaces as its parameter.
QUERIES = {
    kind: WITH_COMMENT.format(subquery=subquery.format(**PARTS))
    for kind, subquery in SUBQUERIES.items()
}
