"""A real PostgreSQL for tests: pytest's fixtures, and the servers and databases that they use.

pytest imports this package in each project of the environment, so every name is imported at its
first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbfoundation.testing.servers import (
        URL_VARIABLE,
        empty_database,
        environment_for,
        fresh_database,
        running_server,
    )

__all__ = [
    "URL_VARIABLE",
    "empty_database",
    "environment_for",
    "fresh_database",
    "running_server",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 # any public name
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.servers"), name)
