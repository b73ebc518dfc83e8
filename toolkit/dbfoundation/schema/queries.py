"""The queries that read a schema out of pg_catalog, alike on PostgreSQL 15 to 18."""

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
SUBQUERIES = {
    "schema": """
        SELECT NULL, pg_catalog.quote_ident(nspname), 0, '{{}}'::json, NULL, x.tableoid, x.oid
        FROM pg_namespace x WHERE oid = {any_namespace} AND {not_from_extension}
    """,
    # Its comment comes from its author and differs between versions.
    "extension": """
        SELECT NULL, pg_catalog.quote_ident(extname), 0, '{{}}'::json, NULL, NULL::oid, NULL::oid
        FROM pg_extension
    """,
    "event trigger": """
        SELECT NULL, pg_catalog.quote_ident(x.evtname), 0, pg_catalog.json_build_object(
            'definition', pg_catalog.concat_ws(' ', 'ON ' || x.evtevent,
                'WHEN TAG IN (' || pg_catalog.array_to_string(x.evttags, ', ') || ')',
                'EXECUTE FUNCTION ' || x.evtfoid::regprocedure::text),
            'firing', CASE x.evtenabled {firing}
        ), NULL, x.tableoid, x.oid
        FROM pg_event_trigger x WHERE {not_from_extension}
    """,
    "type": """
        SELECT NULL, x.oid::regtype::text, 0, pg_catalog.json_build_object(
            'definition', CASE x.typtype
                WHEN 'e' THEN 'ENUM (' || (
                    SELECT pg_catalog.string_agg(pg_catalog.quote_literal(enumlabel), ', '
                        ORDER BY enumsortorder)
                    FROM pg_enum WHERE enumtypid = x.oid
                ) || ')'
                WHEN 'd' THEN pg_catalog.concat_ws(' ',
                    'DOMAIN ' || pg_catalog.format_type(x.typbasetype, x.typtypmod),
                    (SELECT 'COLLATE ' || x.typcollation::regcollation::text FROM pg_type b
                    WHERE b.oid = x.typbasetype AND b.typcollation <> x.typcollation),
                    CASE WHEN x.typnotnull THEN 'NOT NULL' END,
                    'DEFAULT ' || pg_catalog.pg_get_expr(x.typdefaultbin, 0),
                    (SELECT pg_catalog.string_agg(pg_catalog.pg_get_constraintdef(oid), ' '
                        ORDER BY conname)
                    FROM pg_constraint WHERE contypid = x.oid AND contype <> 'n')
                )
                WHEN 'r' THEN (
                    SELECT 'RANGE OF ' || pg_catalog.format_type(rngsubtype, NULL)
                    FROM pg_range WHERE rngtypid = x.oid
                )
                ELSE '(' || (
                    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(attname) || ' '
                        || pg_catalog.format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
                    FROM pg_attribute WHERE attrelid = c.oid AND NOT attisdropped
                ) || ')'
            END
        ), NULL, x.tableoid, x.oid
        FROM pg_type x LEFT JOIN pg_class c ON c.oid = x.typrelid
        WHERE x.typnamespace = {any_namespace} AND {not_from_extension}
        AND (x.typtype IN ('e', 'd', 'r') OR c.relkind = 'c')
    """,
    "function": """
        SELECT NULL, x.oid::regprocedure::text, 0, pg_catalog.json_build_object(
            'variant', CASE x.prokind
                WHEN 'a' THEN 'AGGREGATE' WHEN 'p' THEN 'PROCEDURE' WHEN 'w' THEN 'WINDOW'
            END,
            'result', 'RETURNS ' || pg_catalog.pg_get_function_result(x.oid)
        ), CASE WHEN x.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(x.oid) ELSE (
            SELECT pg_catalog.concat_ws(' ',
                aggtransfn, aggtranstype::regtype, NULLIF(aggfinalfn::text, '-'), agginitval)
            FROM pg_aggregate WHERE aggfnoid = x.oid
        ) END, x.tableoid, x.oid
        FROM pg_proc x
        WHERE x.pronamespace = {any_namespace} AND {not_from_extension} AND NOT EXISTS (
            SELECT FROM pg_depend i  -- functions of a range type
            WHERE i.classid = x.tableoid AND i.objid = x.oid AND i.deptype = 'i'
        )
    """,
    "table": """
        SELECT NULL, x.oid::regclass::text, 0, pg_catalog.json_build_object(
            'variant', CASE x.relkind WHEN 'f' THEN 'FOREIGN' END,
            'persistence', CASE x.relpersistence WHEN 'u' THEN 'UNLOGGED' END,
            'storage', 'WITH (' || pg_catalog.array_to_string(x.reloptions, ', ') || ')',
            'parents', CASE WHEN x.relispartition THEN 'PARTITION OF ' ELSE 'INHERITS ' END || (
                SELECT pg_catalog.string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno)
                FROM pg_inherits WHERE inhrelid = x.oid
            ),
            'bounds', pg_catalog.pg_get_expr(x.relpartbound, x.oid),
            'partitioning', 'PARTITION BY ' || pg_catalog.pg_get_partkeydef(x.oid),
            'row security', CASE WHEN x.relrowsecurity THEN 'ROW LEVEL SECURITY' END,
            'forced row security',
                CASE WHEN x.relforcerowsecurity THEN 'FORCE ROW LEVEL SECURITY' END,
            'replica identity', CASE x.relreplident
                WHEN 'f' THEN 'REPLICA IDENTITY FULL'
                WHEN 'n' THEN 'REPLICA IDENTITY NOTHING'
                WHEN 'i' THEN 'REPLICA IDENTITY USING INDEX ' || (
                    SELECT indexrelid::regclass::text FROM pg_index
                    WHERE indrelid = x.oid AND indisreplident
                )
            END
        ), NULL, x.tableoid, x.oid
        FROM pg_class x
        WHERE x.relnamespace = {any_namespace} AND x.relkind IN ('r', 'p', 'f')
        AND {not_from_extension}
    """,
    "view": """
        SELECT NULL, x.oid::regclass::text, 0, pg_catalog.json_build_object(
            'variant', CASE x.relkind WHEN 'm' THEN 'MATERIALIZED' END,
            'options', 'WITH (' || pg_catalog.array_to_string(x.reloptions, ', ') || ')'
        ), pg_catalog.pg_get_viewdef(x.oid), x.tableoid, x.oid
        FROM pg_class x
        WHERE x.relnamespace = {any_namespace} AND x.relkind IN ('v', 'm') AND {not_from_extension}
    """,
    "column": """
        SELECT x.oid::regclass::text,
        x.oid::regclass::text || '.' || pg_catalog.quote_ident(a.attname), a.attnum,
        pg_catalog.json_build_object(
            'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
            'collation', CASE WHEN a.attcollation <> t.typcollation
                THEN 'COLLATE ' || a.attcollation::regcollation::text END,
            'nullability', CASE WHEN a.attnotnull THEN pg_catalog.concat('NOT NULL', (
                SELECT ' NOT VALID' FROM pg_constraint
                WHERE conrelid = x.oid AND contype = 'n' AND conkey = ARRAY[a.attnum]
                AND NOT convalidated
            )) END,
            'default', CASE a.attgenerated WHEN '' THEN
                'DEFAULT ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
            'generation', 'GENERATED ALWAYS AS ('
                || pg_catalog.pg_get_expr(d.adbin, d.adrelid) || ')'
                || CASE a.attgenerated WHEN 's' THEN ' STORED' WHEN 'v' THEN ' VIRTUAL' END,
            'identity', CASE a.attidentity
                WHEN 'a' THEN 'GENERATED ALWAYS AS IDENTITY'
                WHEN 'd' THEN 'GENERATED BY DEFAULT AS IDENTITY'
            END
        ), NULL, x.tableoid, x.oid
        FROM pg_class x
        JOIN pg_attribute a ON a.attrelid = x.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_type t ON t.oid = a.atttypid
        LEFT JOIN pg_attrdef d ON d.adrelid = x.oid AND d.adnum = a.attnum
        WHERE x.relnamespace = {any_namespace} AND x.relkind IN ('r', 'p', 'f', 'v', 'm')
        AND {not_from_extension}
    """,
    # PostgreSQL 18 lists NOT NULL among the constraints; here NOT NULL belongs to the column.
    "constraint": """
        SELECT c.conrelid::regclass::text, pg_catalog.quote_ident(c.conname), 0,
        pg_catalog.json_build_object(
            'definition', pg_catalog.pg_get_constraintdef(c.oid),
            'storage', CASE WHEN c.contype IN ('p', 'u', 'x') THEN (
                SELECT 'WITH (' || pg_catalog.array_to_string(reloptions, ', ') || ')'
                FROM pg_class WHERE oid = c.conindid
            ) END,
            'enforcement', CASE WHEN EXISTS (
                SELECT FROM pg_trigger WHERE tgconstraint = c.oid AND tgenabled IN ('D', 'R')
            ) THEN 'DISABLED' END,
            'validity', CASE WHEN c.contype IN ('p', 'u', 'x') AND EXISTS (
                SELECT FROM pg_index WHERE indexrelid = c.conindid AND NOT indisvalid
            ) THEN 'INVALID' END
        ), NULL, c.tableoid, c.oid
        FROM pg_constraint c JOIN pg_class x ON x.oid = c.conrelid
        WHERE c.connamespace = {any_namespace} AND c.contype NOT IN ('n', 't')
        AND {not_from_extension} AND NOT EXISTS (
            -- a foreign key has another one for each partition that it refers to
            SELECT FROM pg_constraint w WHERE w.oid = c.conparentid AND w.conrelid = c.conrelid
        )
    """,
    # The index of a constraint is a part of the constraint.
    "index": """
        SELECT i.indrelid::regclass::text, pg_catalog.quote_ident(n.relname), 0,
        pg_catalog.json_build_object(
            'definition', pg_catalog.pg_get_indexdef(n.oid, 0, true),
            'parent', 'PARTITION OF ' || (
                SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = n.oid
            ),
            'validity', CASE WHEN NOT i.indisvalid THEN 'INVALID' END
        ), NULL, n.tableoid, n.oid
        FROM pg_index i JOIN pg_class n ON n.oid = i.indexrelid
        JOIN pg_class x ON x.oid = i.indrelid
        WHERE n.relnamespace = {any_namespace} AND {not_from_extension} AND NOT EXISTS (
            SELECT FROM pg_constraint WHERE conindid = n.oid AND contype IN ('p', 'u', 'x')
        )
    """,
    "trigger": """
        SELECT g.tgrelid::regclass::text, pg_catalog.quote_ident(g.tgname), 0,
        pg_catalog.json_build_object(
            'definition', pg_catalog.pg_get_triggerdef(g.oid, true),
            'firing', CASE g.tgenabled {firing}
        ), NULL, g.tableoid, g.oid
        FROM pg_trigger g JOIN pg_class x ON x.oid = g.tgrelid
        WHERE x.relnamespace = {any_namespace} AND NOT g.tgisinternal AND {not_from_extension}
    """,
    "rule": """
        SELECT r.ev_class::regclass::text, pg_catalog.quote_ident(r.rulename), 0,
        pg_catalog.json_build_object(
            'definition', pg_catalog.pg_get_ruledef(r.oid, true),
            'firing', CASE r.ev_enabled {firing}
        ), NULL, r.tableoid, r.oid
        FROM pg_rewrite r JOIN pg_class x ON x.oid = r.ev_class
        WHERE x.relnamespace = {any_namespace} AND r.rulename <> '_RETURN' AND {not_from_extension}
    """,
    "policy": """
        SELECT p.polrelid::regclass::text, pg_catalog.quote_ident(p.polname), 0,
        pg_catalog.json_build_object(
            'definition', pg_catalog.concat_ws(' ',
                CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                CASE p.polcmd WHEN 'r' THEN 'FOR SELECT' WHEN 'a' THEN 'FOR INSERT'
                    WHEN 'w' THEN 'FOR UPDATE' WHEN 'd' THEN 'FOR DELETE' ELSE 'FOR ALL' END,
                'TO ' || (
                    SELECT pg_catalog.string_agg(
                        CASE id WHEN 0 THEN 'PUBLIC' ELSE id::regrole::text END, ', '
                        ORDER BY id::regrole::text COLLATE "C")
                    FROM pg_catalog.unnest(p.polroles) role (id)
                ),
                'USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',
                'WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')'
            )
        ), NULL, p.tableoid, p.oid
        FROM pg_policy p JOIN pg_class x ON x.oid = p.polrelid
        WHERE x.relnamespace = {any_namespace} AND {not_from_extension}
    """,
    "sequence": """
        SELECT o.refobjid::regclass::text, x.oid::regclass::text, 0, pg_catalog.json_build_object(
            'definition', pg_catalog.concat('AS ', pg_catalog.format_type(s.seqtypid, NULL),
                ' START ', s.seqstart, ' INCREMENT ', s.seqincrement,
                ' MINVALUE ', s.seqmin, ' MAXVALUE ', s.seqmax, ' CACHE ', s.seqcache,
                CASE WHEN s.seqcycle THEN ' CYCLE' END),
            'owner', 'OWNED BY ' || o.refobjid::regclass::text || '.'
                || pg_catalog.quote_ident(a.attname)
        ), NULL, x.tableoid, x.oid
        FROM pg_class x JOIN pg_sequence s ON s.seqrelid = x.oid
        LEFT JOIN pg_depend o ON o.classid = 'pg_class'::regclass AND o.objid = x.oid
            AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i')
        LEFT JOIN pg_attribute a ON a.attrelid = o.refobjid AND a.attnum = o.refobjsubid
        WHERE x.relnamespace = {any_namespace} AND {not_from_extension}
    """,
}
WITH_COMMENT = """
SELECT owner, name, place, details, source, 'COMMENT ' || pg_catalog.quote_literal(description), id
FROM ({subquery}) object (owner, name, place, details, source, catalog, id)
LEFT JOIN pg_description ON classoid = catalog AND objoid = id AND objsubid = place
"""
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
}
# A query for each kind of object, with the OIDs of the namespaces as its parameter.
QUERIES = {
    kind: WITH_COMMENT.format(subquery=subquery.format(**PARTS))
    for kind, subquery in SUBQUERIES.items()
}
