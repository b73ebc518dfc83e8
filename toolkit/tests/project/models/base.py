"""The base of every model, on the process's pool of connections."""

from pathlib import Path

from peewee import Model

from dbfoundation import Pool

database = Pool(Path(__file__).resolve().parent.parent / ".env")


class BaseModel(Model):
    """A model on the pool."""

    class Meta:
        database = database
