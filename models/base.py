"""The base of every model, on the process's pool of connections."""

from pathlib import Path

from dbfoundation import Pool
from peewee import Model

database = Pool(Path(__file__).resolve().parent.parent / ".env")


class BaseModel(Model):
    """A model on the pool."""

    class Meta:
        database = database
