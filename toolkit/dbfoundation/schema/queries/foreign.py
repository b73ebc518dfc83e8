"""The queries for foreign servers; a foreign table is a table. No value of a secret is read."""

SUBQUERIES = {
    "foreign data wrapper": """
        SELECT NULL, pg_catalog.quote_ident(x.fdwname), 0, pg_catalog.json_build_object(
            'definition', pg_catalog.concat_ws(' ',
                'HANDLER ' || NULLIF(x.fdwhandler::regprocedure::text, '-'),
                'VALIDATOR ' || NULLIF(x.fdwvalidator::regprocedure::text, '-')),
            'options', {options_of_fdwoptions}
        ), NULL, x.tableoid, x.oid
        FROM pg_foreign_data_wrapper x WHERE {not_from_extension}
    """,
    "server": """
        SELECT NULL, pg_catalog.quote_ident(x.srvname), 0, pg_catalog.json_build_object(
            'definition', pg_catalog.concat_ws(' ',
                'TYPE ' || pg_catalog.quote_literal(x.srvtype),
                'VERSION ' || pg_catalog.quote_literal(x.srvversion),
                'FOREIGN DATA WRAPPER ' || (
                    SELECT pg_catalog.quote_ident(fdwname) FROM pg_foreign_data_wrapper f
                    WHERE f.oid = x.srvfdw
                )),
            'options', {options_of_srvoptions}
        ), NULL, x.tableoid, x.oid
        FROM pg_foreign_server x WHERE {not_from_extension}
    """,
    "user mapping": """
        SELECT NULL, pg_catalog.concat('of ', CASE x.umuser WHEN 0 THEN 'PUBLIC'
            ELSE x.umuser::regrole::text END, ' to ', pg_catalog.quote_ident(x.srvname)
        ), 0, pg_catalog.json_build_object('options', {options_of_umoptions}),
        NULL, NULL::oid, NULL::oid
        FROM pg_user_mappings x
    """,
}
