"""The queries for objects of the whole database, which have no schema."""

SUBQUERIES = {
    "schema": """
        SELECT NULL, pg_catalog.quote_ident(nspname), 0, '{{}}'::json, NULL, x.tableoid, x.oid
        FROM pg_namespace x WHERE oid = {any_namespace} AND {not_from_extension}
    """,
    # Its comment comes from its author and differs between versions.
    "extension": """
        SELECT NULL, pg_catalog.quote_ident(extname), 0, pg_catalog.json_build_object(
            'version', 'VERSION ' || extversion,
            'schema', 'SCHEMA ' || extnamespace::regnamespace::text
        ), NULL, NULL::oid, NULL::oid
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
    "language": """
        SELECT NULL, pg_catalog.quote_ident(x.lanname), 0, pg_catalog.json_build_object(
            'definition', pg_catalog.concat_ws(' ', CASE WHEN x.lanpltrusted THEN 'TRUSTED' END,
                'HANDLER ' || x.lanplcallfoid::regprocedure::text,
                'INLINE ' || NULLIF(x.laninline::regprocedure::text, '-'),
                'VALIDATOR ' || NULLIF(x.lanvalidator::regprocedure::text, '-'))
        ), NULL, x.tableoid, x.oid
        FROM pg_language x WHERE x.lanispl AND {not_from_extension}
    """,
    "publication": """
        SELECT NULL, pg_catalog.quote_ident(x.pubname), 0, pg_catalog.json_build_object(
            'definition', pg_catalog.concat_ws(' ',
                CASE WHEN x.puballtables THEN 'FOR ALL TABLES' END,
                'FOR TABLE ' || (
                    SELECT pg_catalog.string_agg(pg_catalog.concat(r.prrelid::regclass::text,
                        ' (' || (
                            SELECT pg_catalog.string_agg(pg_catalog.quote_ident(attname), ', '
                                ORDER BY attnum)
                            FROM pg_attribute WHERE attrelid = r.prrelid AND attnum = ANY(r.prattrs)
                        ) || ')',
                        ' WHERE ' || pg_catalog.pg_get_expr(r.prqual, r.prrelid)
                    ), ', ' ORDER BY r.prrelid::regclass::text COLLATE "C")
                    FROM pg_publication_rel r WHERE r.prpubid = x.oid
                ),
                'FOR TABLES IN SCHEMA ' || (
                    SELECT pg_catalog.string_agg(pnnspid::regnamespace::text, ', '
                        ORDER BY pnnspid::regnamespace::text COLLATE "C")
                    FROM pg_publication_namespace WHERE pnpubid = x.oid
                ),
                'WITH (publish = ' || pg_catalog.quote_literal(pg_catalog.concat_ws(', ',
                    CASE WHEN x.pubinsert THEN 'insert' END,
                    CASE WHEN x.pubupdate THEN 'update' END,
                    CASE WHEN x.pubdelete THEN 'delete' END,
                    CASE WHEN x.pubtruncate THEN 'truncate' END
                )) || CASE WHEN x.pubviaroot THEN ', publish_via_partition_root = true' ELSE '' END
                -- since PostgreSQL 18
                || CASE pg_catalog.to_jsonb(x) ->> 'pubgencols' WHEN 's'
                    THEN ', publish_generated_columns = stored' ELSE '' END
                || ')'
            )
        ), NULL, x.tableoid, x.oid
        FROM pg_publication x WHERE {not_from_extension}
    """,
    # Its connection is left out, because it has a password.
    "subscription": """
        SELECT NULL, pg_catalog.quote_ident(x.subname), 0, pg_catalog.json_build_object(
            'definition', pg_catalog.concat_ws(' ',
                'PUBLICATION ' || pg_catalog.array_to_string(x.subpublications, ', '),
                'SLOT ' || pg_catalog.quote_ident(x.subslotname),
                CASE WHEN NOT x.subenabled THEN 'DISABLED' END)
        ), NULL, 'pg_subscription'::regclass::oid, x.oid  -- every user may read these columns
        FROM pg_subscription x WHERE x.subdbid = (
            SELECT oid FROM pg_database WHERE datname = pg_catalog.current_database()
        )
    """,
    # A parameter of an application's own may be a secret.
    "setting": """
        SELECT NULL, pg_catalog.concat(name, ' of ',
            COALESCE(NULLIF(x.setrole::regrole::text, '-'), 'the database')
        ), 0, pg_catalog.json_build_object(
            'definition', 'SET TO ' || CASE WHEN pg_catalog.strpos(name, '.') > 0 THEN '***'
                ELSE pg_catalog.quote_literal(pg_catalog.substr(s, 2 + pg_catalog.length(name))) END
        ), NULL, NULL::oid, NULL::oid
        FROM pg_db_role_setting x, pg_catalog.unnest(x.setconfig) s,
            pg_catalog.split_part(s, '=', 1) name
        WHERE x.setdatabase = (
            SELECT oid FROM pg_database WHERE datname = pg_catalog.current_database()
        )
    """,
}
