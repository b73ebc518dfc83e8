"""The roles of a server, which belong to no schema: their attributes, settings and memberships.

A password is known by its presence alone, because the same one is stored with another salt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbfoundation.schema.comparison import Difference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peewee import PostgresqlDatabase

ROLES = """
SELECT 'role ' || quote_ident(rolname), concat_ws(' ', 'ROLE',
    CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN NOT rolinherit THEN 'NOINHERIT' END,
    CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
    CASE WHEN rolcanlogin THEN 'LOGIN' END, CASE WHEN rolreplication THEN 'REPLICATION' END,
    CASE WHEN rolbypassrls THEN 'BYPASSRLS' END, 'CONNECTION LIMIT ' || NULLIF(rolconnlimit, -1),
    CASE WHEN rolpassword IS NOT NULL THEN 'PASSWORD' END, 'VALID UNTIL ' || rolvaliduntil,
    'SET ' || (
        SELECT array_to_string(setconfig, ', ') FROM pg_db_role_setting
        WHERE setrole = r.oid AND setdatabase = 0
    ),
    'IN ROLE ' || (
        SELECT string_agg(concat(roleid::regrole, CASE WHEN admin_option THEN ' WITH ADMIN' END),
            ', ' ORDER BY roleid::regrole::text COLLATE "C")
        FROM pg_auth_members WHERE member = r.oid
    ),
    'COMMENT ' || quote_literal(shobj_description(r.oid, 'pg_authid')))
FROM pg_authid r ORDER BY rolname
"""


def read_roles(database: PostgresqlDatabase) -> dict[str, str]:
    """The definition of each role, by the subject of a sentence; for a superuser."""
    return dict(database.execute_sql(ROLES).fetchall())


def role_differences(left: Mapping[str, str], right: Mapping[str, str]) -> list[Difference]:
    """The roles that differ, or that one side lacks."""
    return [
        Difference(subject, left.get(subject), right.get(subject))
        for subject in sorted(left.keys() | right.keys())
        if left.get(subject) != right.get(subject)
    ]
