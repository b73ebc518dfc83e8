"""The table audit_log: who did what to which thing, and when."""

from peewee import SQL, AutoField, CharField
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from models.base import BaseModel


class AuditLog(BaseModel):
    """One thing that happened.

    The server sets `timestamp` when it is left out; the new instance has it once it is read back.
    """

    id = AutoField()
    action = CharField(max_length=100)
    entity_type = CharField(max_length=100, null=True)
    entity_id = CharField(max_length=100, null=True)
    user_id = CharField(max_length=100, null=True)
    timestamp = DateTimeTZField(null=True, constraints=[SQL("DEFAULT NOW()")])
    details = BinaryJSONField(null=True, index=False)  # peewee's default is a GIN index

    class Meta:
        table_name = "audit_log"
