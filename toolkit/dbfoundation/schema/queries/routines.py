"""The queries for functions, procedures and aggregates."""

SUBQUERIES = {
    "function": """
        SELECT NULL, x.oid::regprocedure::text, 0, pg_catalog.json_build_object(
            'variant', CASE x.prokind
                WHEN 'a' THEN 'AGGREGATE' WHEN 'p' THEN 'PROCEDURE' WHEN 'w' THEN 'WINDOW'
            END,
            'result', 'RETURNS ' || pg_catalog.pg_get_function_result(x.oid),
            'language', (
                SELECT 'LANGUAGE ' || pg_catalog.quote_ident(lanname) FROM pg_language l
                WHERE l.oid = x.prolang AND x.prokind <> 'a'
            ),
            'volatility', CASE x.provolatile WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' END,
            'leakproof', CASE WHEN x.proleakproof THEN 'LEAKPROOF' END,
            'strict', CASE WHEN x.proisstrict THEN 'STRICT' END,
            'security', CASE WHEN x.prosecdef THEN 'SECURITY DEFINER' END,
            'parallel', CASE x.proparallel
                WHEN 's' THEN 'PARALLEL SAFE' WHEN 'r' THEN 'PARALLEL RESTRICTED' END,
            'cost', 'COST ' || NULLIF(x.procost, (
                SELECT CASE WHEN lanname IN ('c', 'internal') THEN 1 ELSE 100 END
                FROM pg_language l WHERE l.oid = x.prolang
            ))::text,
            'rows', 'ROWS ' || NULLIF(NULLIF(x.prorows, 0), 1000)::text,
            'support', 'SUPPORT ' || NULLIF(x.prosupport::text, '-'),
            'settings', 'SET ' || pg_catalog.array_to_string(x.proconfig, ', ')
        ), CASE WHEN x.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(x.oid) ELSE (
            SELECT pg_catalog.concat_ws(' ',
                a.aggtransfn, a.aggtranstype::regtype, NULLIF(a.aggfinalfn::text, '-'),
                a.agginitval, 'KIND ' || NULLIF(a.aggkind, 'n')::text,
                'SSPACE ' || NULLIF(a.aggtransspace, 0),
                'MSSPACE ' || NULLIF(a.aggmtransspace, 0),
                'COMBINEFUNC ' || NULLIF(a.aggcombinefn::text, '-'),
                'SERIALFUNC ' || NULLIF(a.aggserialfn::text, '-'),
                'DESERIALFUNC ' || NULLIF(a.aggdeserialfn::text, '-'),
                'MSFUNC ' || NULLIF(a.aggmtransfn::text, '-'),
                'MINVFUNC ' || NULLIF(a.aggminvtransfn::text, '-'),
                'MSTYPE ' || NULLIF(a.aggmtranstype, 0)::regtype::text,
                'MFINALFUNC ' || NULLIF(a.aggmfinalfn::text, '-'),
                'MINITCOND ' || a.aggminitval,
                CASE WHEN a.aggfinalextra THEN 'FINALFUNC_EXTRA' END,
                CASE WHEN a.aggmfinalextra THEN 'MFINALFUNC_EXTRA' END,
                'FINALFUNC_MODIFY ' || NULLIF(a.aggfinalmodify, 'r')::text,
                'MFINALFUNC_MODIFY ' || NULLIF(a.aggmfinalmodify, 'r')::text,
                'SORTOP ' || NULLIF(a.aggsortop, 0)::regoperator::text)
            FROM pg_aggregate a WHERE a.aggfnoid = x.oid
        ) END, x.tableoid, x.oid
        FROM pg_proc x
        WHERE x.pronamespace = {any_namespace} AND {not_from_extension} AND NOT EXISTS (
            SELECT FROM pg_depend i  -- functions of a range type
            WHERE i.classid = x.tableoid AND i.objid = x.oid AND i.deptype = 'i'
        )
    """,
}
