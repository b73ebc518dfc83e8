"""The table sessions, in the shape of connect-pg-simple's, so that Node services can share it."""

from peewee import CharField, DateTimeField, ModelIndex
from playhouse.postgres_ext import BinaryJSONField

from models.base import BaseModel


class Timestamp6Field(DateTimeField):
    """`timestamp(6)` without time zone."""

    field_type = "TIMESTAMP"

    def get_modifiers(self) -> list[int]:
        return [6]


class Session(BaseModel):
    """A session and its data. `expire` is UTC: every connection of ours runs in that zone."""

    sid = CharField(max_length=None, primary_key=True)  # type: ignore[call-overload] # the types want a length
    sess = BinaryJSONField(index=False)  # peewee's default is a GIN index
    expire = Timestamp6Field()

    class Meta:
        table_name = "sessions"


Session.add_index(ModelIndex(Session, (Session.expire,), name="idx_sessions_expire"))
