"""The queries for types and collations."""

SUBQUERIES = {
    "collation": """
        SELECT NULL, x.oid::regcollation::text, 0, pg_catalog.json_build_object(
            'definition', pg_catalog.concat_ws(' ',
                CASE x.collprovider WHEN 'i' THEN 'icu' WHEN 'c' THEN 'libc' WHEN 'b' THEN 'builtin'
                    ELSE 'default' END,
                -- PostgreSQL 17 renames a column
                COALESCE(pg_catalog.to_jsonb(x) ->> 'colllocale',
                    pg_catalog.to_jsonb(x) ->> 'colliculocale'),
                'LC_COLLATE ' || pg_catalog.quote_literal(x.collcollate),
                'LC_CTYPE ' || pg_catalog.quote_literal(x.collctype),
                'RULES ' || pg_catalog.quote_literal(pg_catalog.to_jsonb(x) ->> 'collicurules'),
                CASE WHEN NOT x.collisdeterministic THEN 'NOT DETERMINISTIC' END)
        ), NULL, x.tableoid, x.oid
        FROM pg_collation x WHERE x.collnamespace = {any_namespace} AND {not_from_extension}
    """,
    # The definition of a domain is the one that CREATE DOMAIN takes.
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
                    (SELECT pg_catalog.string_agg(pg_catalog.concat('CONSTRAINT ',
                        pg_catalog.quote_ident(conname), ' ', pg_catalog.pg_get_constraintdef(oid)
                        ), ' ' ORDER BY conname)
                    FROM pg_constraint WHERE contypid = x.oid AND contype <> 'n')
                )
                WHEN 'r' THEN (
                    SELECT pg_catalog.concat_ws(' ',
                        'RANGE OF ' || pg_catalog.format_type(rngsubtype, NULL),
                        'COLLATE ' || NULLIF(NULLIF(rngcollation, 0), s.typcollation)
                            ::regcollation::text,
                        (SELECT 'OPERATOR CLASS ' || pg_catalog.quote_ident(opcname)
                        FROM pg_opclass o WHERE o.oid = rngsubopc AND NOT opcdefault),
                        'CANONICAL ' || NULLIF(rngcanonical::text, '-'),
                        'SUBTYPE_DIFF ' || NULLIF(rngsubdiff::text, '-'),
                        'MULTIRANGE ' || rngmultitypid::regtype::text)
                    FROM pg_range JOIN pg_type s ON s.oid = rngsubtype WHERE rngtypid = x.oid
                )
                WHEN 'b' THEN pg_catalog.concat_ws(' ', 'BASE',
                    'INPUT ' || x.typinput::text, 'OUTPUT ' || x.typoutput::text,
                    'RECEIVE ' || NULLIF(x.typreceive::text, '-'),
                    'SEND ' || NULLIF(x.typsend::text, '-'),
                    'TYPMOD_IN ' || NULLIF(x.typmodin::text, '-'),
                    'TYPMOD_OUT ' || NULLIF(x.typmodout::text, '-'),
                    'ANALYZE ' || NULLIF(x.typanalyze::text, '-'),
                    'SUBSCRIPT ' || NULLIF(x.typsubscript::text, '-'),
                    'INTERNALLENGTH ' || x.typlen, CASE WHEN x.typbyval THEN 'PASSEDBYVALUE' END,
                    'ALIGNMENT ' || x.typalign::text, 'STORAGE ' || x.typstorage::text,
                    'CATEGORY ' || x.typcategory::text,
                    CASE WHEN x.typispreferred THEN 'PREFERRED' END,
                    'DEFAULT ' || pg_catalog.quote_literal(x.typdefault),
                    'ELEMENT ' || NULLIF(x.typelem, 0)::regtype::text,
                    'DELIMITER ' || pg_catalog.quote_literal(x.typdelim::text),
                    CASE WHEN x.typcollation <> 0 THEN 'COLLATABLE' END
                )
                WHEN 'p' THEN 'SHELL'
                ELSE '(' || (
                    SELECT pg_catalog.string_agg(pg_catalog.concat(
                        pg_catalog.quote_ident(attname), ' ',
                        pg_catalog.format_type(atttypid, atttypmod),
                        (SELECT ' COLLATE ' || attcollation::regcollation::text FROM pg_type b
                        WHERE b.oid = atttypid AND b.typcollation <> attcollation)
                        ), ', ' ORDER BY attnum)
                    FROM pg_attribute WHERE attrelid = c.oid AND NOT attisdropped
                ) || ')'
            END,
            'comments of parts', (
                SELECT pg_catalog.string_agg(pg_catalog.concat('COMMENT ON ', name, ' ',
                    pg_catalog.quote_literal(text)), ' ' ORDER BY name)
                FROM (
                    SELECT conname, pg_catalog.obj_description(oid, 'pg_constraint')
                    FROM pg_constraint WHERE contypid = x.oid
                    UNION ALL
                    SELECT attname, pg_catalog.col_description(c.oid, attnum)
                    FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0
                ) parts (name, text) WHERE text IS NOT NULL
            )
        ), NULL, x.tableoid, x.oid
        FROM pg_type x LEFT JOIN pg_class c ON c.oid = x.typrelid
        WHERE x.typnamespace = {any_namespace} AND {not_from_extension}
        AND (x.typtype IN ('e', 'd', 'r') OR c.relkind = 'c'
            OR (x.typtype = 'p' AND NOT x.typisdefined)
            OR (x.typtype = 'b' AND NOT EXISTS (
                -- by the element's OID, because typarray has no index
                SELECT FROM pg_type e WHERE e.oid = x.typelem AND e.typarray = x.oid)))
    """,
}
