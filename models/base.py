"""What every model shares: the pooled database."""

from peewee import Model

from toolkit.database import database

__all__ = ["BaseModel", "database"]


class BaseModel(Model):
    """A model on the pooled database."""

    class Meta:
        database = database
