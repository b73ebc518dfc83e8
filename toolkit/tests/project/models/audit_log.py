"""The table audit_log."""

from peewee import SQL, AutoField, CharField, ModelIndex
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from dbfoundation import AuditTrail
from models.base import BaseModel


class AuditLog(AuditTrail, BaseModel):
    """One event: who did what to which thing, and when."""

    id = AutoField()
    action = CharField(max_length=100)
    entity_type = CharField(max_length=100, null=True)
    entity_id = CharField(max_length=100, null=True)
    user_id = CharField(max_length=100, null=True)
    timestamp = DateTimeTZField(null=True, constraints=[SQL("DEFAULT NOW()")])
    details = BinaryJSONField(null=True, index=False)  # Peewee's default is a GIN index

    class Meta:
        table_name = "audit_log"


for name, fields in {
    "idx_audit_log_entity": (AuditLog.entity_type, AuditLog.entity_id, AuditLog.id),
    "idx_audit_log_user": (AuditLog.user_id, AuditLog.id),
    "idx_audit_log_timestamp": (AuditLog.timestamp, AuditLog.id),
}.items():
    AuditLog.add_index(ModelIndex(AuditLog, fields, name=name))
