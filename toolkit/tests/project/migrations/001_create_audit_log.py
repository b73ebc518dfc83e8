"""The table audit_log."""

import peewee as pw
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField


def migrate(migrator, database, *, fake=False):
    @migrator.create_model
    class AuditLog(pw.Model):
        id = pw.AutoField()
        action = pw.CharField(max_length=100)
        entity_type = pw.CharField(max_length=100, null=True)
        entity_id = pw.CharField(max_length=100, null=True)
        user_id = pw.CharField(max_length=100, null=True)
        timestamp = DateTimeTZField(null=True, constraints=[pw.SQL("DEFAULT NOW()")])
        details = BinaryJSONField(null=True, index=False)

        class Meta:
            table_name = "audit_log"


def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE audit_log")
