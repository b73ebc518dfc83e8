"""The entry of pytest's plugin: the options of a project, and its fixtures where it has set one.

pytest imports this module in each project of the environment, and before it measures coverage. It
imports nothing, and adds no fixture to a project that has not named its pool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

DATABASE = "dbfoundation_database"
MIGRATIONS = "dbfoundation_migrations"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(DATABASE, "the project's pool, as module:attribute, such as models:database")
    parser.addini(MIGRATIONS, "the folder of the migrations, below rootdir", default="migrations")


def pytest_configure(config: pytest.Config) -> None:
    if config.getini(DATABASE):
        from dbfoundation.testing import fixtures

        config.pluginmanager.register(fixtures, "dbfoundation-fixtures")
