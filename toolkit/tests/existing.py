"""A database that another tool created, with the tables of the tests' project and no history."""

SCRATCH_DATABASES = "SELECT count(*) FROM pg_database WHERE datname LIKE 'migrate_verify%%'"
TABLES = """
CREATE TABLE audit_log (
    id serial PRIMARY KEY, action varchar(100) NOT NULL, entity_type varchar(100),
    entity_id varchar(100), user_id varchar(100), "timestamp" timestamptz DEFAULT now(),
    details jsonb
);
CREATE TABLE sessions (
    sid varchar PRIMARY KEY, sess jsonb NOT NULL, expire timestamp(6) NOT NULL
);
CREATE INDEX idx_sessions_expire ON sessions (expire);
CREATE INDEX idx_audit_log_entity ON audit_log (entity_type, entity_id, id);
CREATE INDEX idx_audit_log_user ON audit_log (user_id, id);
CREATE INDEX idx_audit_log_timestamp ON audit_log ("timestamp", id);
"""
