"""The table sessions, with the index that finds the expired ones."""


def migrate(migrator, database, *, fake=False):
    migrator.sql("""
        CREATE TABLE sessions (
            sid VARCHAR NOT NULL PRIMARY KEY,
            sess JSONB NOT NULL,
            expire TIMESTAMP(6) NOT NULL
        )
    """)
    migrator.sql("CREATE INDEX idx_sessions_expire ON sessions (expire)")


def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE sessions")
