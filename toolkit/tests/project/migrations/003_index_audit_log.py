"""The indexes for reading audit_log: by thing, by user, and by time; newest first, page by page.

Built without locking the table against writers. Each is dropped first, so that a run which stopped
half-way, and left one INVALID, can simply be repeated.
"""

atomic = False

INDEXES = {
    "idx_audit_log_entity": "(entity_type, entity_id, id)",
    "idx_audit_log_user": "(user_id, id)",
    "idx_audit_log_timestamp": "(timestamp, id)",
}


def migrate(migrator, database, *, fake=False):
    for name, columns in INDEXES.items():
        migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        migrator.sql(f"CREATE INDEX CONCURRENTLY {name} ON audit_log {columns}")


def rollback(migrator, database, *, fake=False):
    for name in INDEXES:
        migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
