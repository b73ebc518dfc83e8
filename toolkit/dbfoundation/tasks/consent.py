"""Consent to a change of data: whose server it is decides, and the flags of the command.

A task that drops or inserts data runs on a server that this project's db-up started. On any other
server it asks a person at the terminal; elsewhere it needs --yes. A committed file permits nothing:
APP_ENV can only forbid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbfoundation.errors import NoDatabaseError, RefusedError
from dbfoundation.tasks.output import ask, is_interactive

if TYPE_CHECKING:
    from dbfoundation.settings import Settings
    from dbfoundation.tasks.project import Project

YES = "agree in advance, for a server that this project did not start"


def require_own_server(project: Project, settings: Settings, effect: str, *, yes: bool) -> None:
    """Return where a task may have its effect; raises RefusedError or a DatabaseError elsewhere.

    The effect is worded for a message, such as `db-reset would drop`.
    """
    if settings.app_env == "production":
        raise RefusedError(
            f"{effect} {settings.url}, and APP_ENV is production.\n"
            "Fix: run it where APP_ENV is development or test."
        )
    require_consent(project, settings, effect, yes=yes)


def require_consent(project: Project, settings: Settings, effect: str, *, yes: bool) -> None:
    """Return as require_own_server() does, in production too: for a task that changes no data."""
    from dbfoundation.server.ownership import owner

    if yes or (settings.url.is_local and owner(project.root, settings)):
        return
    size = f" ({_describe(settings)})" if is_interactive() else ""
    require_agreement(
        f"{effect} {settings.url}{size}, on a server that this project did not start",
        word=settings.url.name,
    )


def require_agreement(consequence: str, *, word: str) -> None:
    """Return when a person types the word; raises RefusedError otherwise."""
    if not is_interactive():
        raise RefusedError(f"{consequence}.\nFix: add --yes to the command if that is intended.")
    if ask(f"{consequence}. Type {word} to agree:") != word:
        raise RefusedError("not agreed: nothing was changed")


def _describe(settings: Settings) -> str:
    """The version of the server, and the size of its database."""
    from dbfoundation.server.databases import any_session, check, describe

    try:
        check(settings)
    except NoDatabaseError:
        return "no such database yet"
    with any_session(settings) as session:
        return describe(session)
