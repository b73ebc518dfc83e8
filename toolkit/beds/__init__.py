"""Test beds: the schemas that real applications create prove the comparison of schemas.

    cd toolkit && ../.venv/bin/python -m pytest beds --numprocesses=0

installs each application of applications.py by name from PyPI, into a folder `.beds/NAME` of its
own. Its own migrations create its schema on PostgreSQL 15, and a quick one's on 18, too; the other
versions load pg_dump's text of the schema on 15. On each version:

- Models made from the live schema agree with it.
- They agree with a dump and restore of it, and models made from that agree with the original.
- A listing of the schema has as many objects of each kind as the dump.

An application or a version that is not available is skipped with its reason. CI runs this with
`--at-least 6`, the number of applications that must have run; `invoke test` does not run it.
"""
