"""Whose server answers at an address: one of this project's providers, or somebody else's.

The server itself proves it, over the session: an address does not. A tunnel to another machine has
an address of this machine, and `localhost` leads to another server than `127.0.0.1` at times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2

from dbfoundation.server.compose import Compose
from dbfoundation.server.databases import any_session
from dbfoundation.server.local import LocalServer, home_of

if TYPE_CHECKING:
    from pathlib import Path

    from psycopg2.extensions import connection

    from dbfoundation.server.provider import Provider
    from dbfoundation.settings import Settings


def all_providers(root: Path, settings: Settings) -> dict[str, Provider]:
    """The providers of a project by the names that --via accepts, in the order of trying them."""
    return {
        "docker": Compose(root, settings),
        "local": LocalServer(home_of(root), settings, root),
    }


def owner(root: Path, settings: Settings) -> Provider | None:
    """The provider of the project in `root` whose server answers at the settings' address.

    None for a server that this project did not start. Raises a DatabaseError when none answers.
    """
    providers = all_providers(root, settings)
    with any_session(settings) as session:
        key = key_of_owner(providers, session)
    return providers[key] if key else None


def key_of_owner(providers: dict[str, Provider], session: connection) -> str | None:
    """The key of the provider that serves a session; None for a server that is no provider's."""
    try:
        return next((key for key in reversed(providers) if serves(providers[key], session)), None)
    except psycopg2.Error:  # a server that answers no such question, such as an old one
        return None


def serves(provider: Provider, session: connection) -> bool:
    return provider.port() is not None and provider.serves(session)
