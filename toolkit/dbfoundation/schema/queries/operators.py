"""The queries for operators, casts, conversions and access methods."""

SUBQUERIES = {
    "operator": """
        SELECT NULL, x.oid::regoperator::text, 0, pg_catalog.json_build_object(
            'definition', pg_catalog.concat_ws(' ', 'FUNCTION ' || x.oprcode::text,
                'COMMUTATOR ' || NULLIF(x.oprcom, 0)::regoperator::text,
                'NEGATOR ' || NULLIF(x.oprnegate, 0)::regoperator::text,
                'RESTRICT ' || NULLIF(x.oprrest::text, '-'),
                'JOIN ' || NULLIF(x.oprjoin::text, '-'),
                CASE WHEN x.oprcanhash THEN 'HASHES' END,
                CASE WHEN x.oprcanmerge THEN 'MERGES' END)
        ), NULL, x.tableoid, x.oid
        FROM pg_operator x WHERE x.oprnamespace = {any_namespace} AND {not_from_extension}
    """,
    "operator family": """
        SELECT NULL, pg_catalog.concat({name_of_opf}, ' USING ', m.amname), 0,
        pg_catalog.json_build_object('definition', pg_catalog.concat_ws(', ', (
            SELECT pg_catalog.string_agg(pg_catalog.concat('OPERATOR ', amopstrategy, ' ',
                amopopr::regoperator), ', ' ORDER BY amopstrategy, amopopr::regoperator::text)
            FROM pg_amop WHERE amopfamily = x.oid
        ), (
            SELECT pg_catalog.string_agg(pg_catalog.concat('FUNCTION ', amprocnum, ' ',
                amproc::regprocedure), ', ' ORDER BY amprocnum, amproc::regprocedure::text)
            FROM pg_amproc WHERE amprocfamily = x.oid
        ))), NULL, x.tableoid, x.oid
        FROM pg_opfamily x JOIN pg_namespace n ON n.oid = x.opfnamespace
        JOIN pg_am m ON m.oid = x.opfmethod
        WHERE x.opfnamespace = {any_namespace} AND {not_from_extension}
    """,
    "operator class": """
        SELECT NULL, pg_catalog.concat({name_of_opc}, ' USING ', m.amname), 0,
        pg_catalog.json_build_object('definition', pg_catalog.concat_ws(' ',
            CASE WHEN x.opcdefault THEN 'DEFAULT' END, 'FOR TYPE ' || x.opcintype::regtype::text,
            'FAMILY ' || (
                SELECT pg_catalog.concat(f.opfnamespace::regnamespace, '.',
                    pg_catalog.quote_ident(f.opfname))
                FROM pg_opfamily f WHERE f.oid = x.opcfamily
            ),
            'STORAGE ' || NULLIF(x.opckeytype, 0)::regtype::text
        )), NULL, x.tableoid, x.oid
        FROM pg_opclass x JOIN pg_namespace n ON n.oid = x.opcnamespace
        JOIN pg_am m ON m.oid = x.opcmethod
        WHERE x.opcnamespace = {any_namespace} AND {not_from_extension}
    """,
    "access method": """
        SELECT NULL, pg_catalog.quote_ident(x.amname), 0, pg_catalog.json_build_object(
            'definition', pg_catalog.concat('TYPE ', CASE x.amtype WHEN 't' THEN 'TABLE'
                ELSE 'INDEX' END, ' HANDLER ', x.amhandler)
        ), NULL, x.tableoid, x.oid
        FROM pg_am x WHERE {made_here} AND {not_from_extension}
    """,
    "cast": """
        SELECT NULL, pg_catalog.concat('(', x.castsource::regtype, ' AS ', x.casttarget::regtype,
            ')'), 0, pg_catalog.json_build_object('definition', pg_catalog.concat_ws(' ',
            CASE x.castmethod WHEN 'f' THEN 'WITH FUNCTION ' || x.castfunc::regprocedure::text
                WHEN 'i' THEN 'WITH INOUT' ELSE 'WITHOUT FUNCTION' END,
            CASE x.castcontext WHEN 'a' THEN 'AS ASSIGNMENT' WHEN 'i' THEN 'AS IMPLICIT' END
        )), NULL, x.tableoid, x.oid
        -- the server makes the casts of a range type
        FROM pg_cast x WHERE {made_here} AND {not_from_extension} AND NOT EXISTS (
            SELECT FROM pg_range r
            WHERE r.rngtypid = x.castsource AND r.rngmultitypid = x.casttarget
        )
    """,
    "transform": """
        SELECT NULL, pg_catalog.concat('FOR ', x.trftype::regtype, ' LANGUAGE ', l.lanname), 0,
        pg_catalog.json_build_object('definition', pg_catalog.concat(
            'FROM SQL WITH FUNCTION ', x.trffromsql::regprocedure,
            ' TO SQL WITH FUNCTION ', x.trftosql::regprocedure
        )), NULL, x.tableoid, x.oid
        FROM pg_transform x JOIN pg_language l ON l.oid = x.trflang WHERE {not_from_extension}
    """,
    "conversion": """
        SELECT NULL, {name_of_con}, 0, pg_catalog.json_build_object(
            'definition', pg_catalog.concat(CASE WHEN x.condefault THEN 'DEFAULT ' END,
                'FOR ', pg_catalog.pg_encoding_to_char(x.conforencoding),
                ' TO ', pg_catalog.pg_encoding_to_char(x.contoencoding),
                ' FROM ', x.conproc)
        ), NULL, x.tableoid, x.oid
        FROM pg_conversion x JOIN pg_namespace n ON n.oid = x.connamespace
        WHERE x.connamespace = {any_namespace} AND {not_from_extension}
    """,
}
