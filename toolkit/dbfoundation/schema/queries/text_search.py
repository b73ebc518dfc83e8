"""The queries for the objects of text search."""

SUBQUERIES = {
    "text search parser": """
        SELECT NULL, {name_of_prs}, 0, pg_catalog.json_build_object(
            'definition', pg_catalog.concat('START ', x.prsstart, ' GETTOKEN ', x.prstoken,
                ' END ', x.prsend, ' LEXTYPES ', x.prslextype,
                ' HEADLINE ' || NULLIF(x.prsheadline::text, '-'))
        ), NULL, x.tableoid, x.oid
        FROM pg_ts_parser x JOIN pg_namespace n ON n.oid = x.prsnamespace
        WHERE x.prsnamespace = {any_namespace} AND {not_from_extension}
    """,
    "text search template": """
        SELECT NULL, {name_of_tmpl}, 0, pg_catalog.json_build_object(
            'definition', pg_catalog.concat('INIT ', x.tmplinit, ' LEXIZE ', x.tmpllexize)
        ), NULL, x.tableoid, x.oid
        FROM pg_ts_template x JOIN pg_namespace n ON n.oid = x.tmplnamespace
        WHERE x.tmplnamespace = {any_namespace} AND {not_from_extension}
    """,
    "text search dictionary": """
        SELECT NULL, x.oid::regdictionary::text, 0, pg_catalog.json_build_object(
            'definition', pg_catalog.concat_ws(' ', (
                SELECT pg_catalog.concat('TEMPLATE ', t.tmplnamespace::regnamespace, '.',
                    pg_catalog.quote_ident(t.tmplname))
                FROM pg_ts_template t WHERE t.oid = x.dicttemplate
            ), x.dictinitoption)
        ), NULL, x.tableoid, x.oid
        FROM pg_ts_dict x WHERE x.dictnamespace = {any_namespace} AND {not_from_extension}
    """,
    "text search configuration": """
        SELECT NULL, x.oid::regconfig::text, 0, pg_catalog.json_build_object(
            'definition', pg_catalog.concat_ws(' ', (
                SELECT pg_catalog.concat('PARSER ', p.prsnamespace::regnamespace, '.',
                    pg_catalog.quote_ident(p.prsname))
                FROM pg_ts_parser p WHERE p.oid = x.cfgparser
            ), (
                SELECT pg_catalog.string_agg(
                    pg_catalog.concat(t.alias, ' ', m.mapdict::regdictionary), ', '
                    ORDER BY t.alias, m.mapseqno)
                FROM pg_ts_config_map m
                JOIN pg_catalog.ts_token_type(x.cfgparser) t ON t.tokid = m.maptokentype
                WHERE m.mapcfg = x.oid
            ))
        ), NULL, x.tableoid, x.oid
        FROM pg_ts_config x WHERE x.cfgnamespace = {any_namespace} AND {not_from_extension}
    """,
}
