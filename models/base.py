"""What every model shares: the pooled database."""

from typing import Any

from peewee import Model

from toolkit.database import database

__all__ = ["BaseModel", "database"]


class BaseModel(Model):
    """A model on the pooled database."""

    class Meta:
        database = database

    @classmethod
    def bound(cls) -> Any:  # noqa: ANN401 # a Database of Peewee's, whose types leave much out
        """The database that the model is bound to: the pool, or what a test binds in its place."""
        return cls._meta.database
