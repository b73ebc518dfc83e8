"""The table sessions, in the shape of connect-pg-simple's."""

from peewee import CharField, ModelIndex
from playhouse.postgres_ext import BinaryJSONField

from dbfoundation import Timestamp6Field
from models.base import BaseModel


class Session(BaseModel):
    """A session and its data. `expire` is UTC."""

    sid = CharField(max_length=None, primary_key=True)  # type: ignore[call-overload] # the stub requires a length
    sess = BinaryJSONField(index=False)  # Peewee's default is a GIN index
    expire = Timestamp6Field()

    class Meta:
        table_name = "sessions"


Session.add_index(ModelIndex(Session, (Session.expire,), name="idx_sessions_expire"))
