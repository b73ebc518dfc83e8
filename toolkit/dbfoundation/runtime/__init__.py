"""For a running service: connections, the pool, prepared statements, sessions, the audit trail."""
