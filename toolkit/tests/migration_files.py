"""Texts of migration files, and the state of a database that has run some."""

FILE = """{options}
def migrate(migrator, database, *, fake=False):
    {migrate}

def rollback(migrator, database, *, fake=False):
    {rollback}
"""


def migration(migrate, rollback="migrator.sql('SELECT 1')", options=""):
    """A file with these bodies; migrate() begins in line 3."""
    return FILE.format(migrate=migrate, rollback=rollback, options=options)


def creates(table):
    """A file that creates a table, and drops it."""
    return migration(
        f"migrator.sql('CREATE TABLE {table} (id INTEGER)')",
        f"migrator.sql('DROP TABLE {table}')",
    )


def tables(db):
    """The tables of the schema, except the history."""
    return [name for name in db.get_tables() if name != "migratehistory"]


def applied(engine):
    return [step.name for step in engine.plan().applied]
