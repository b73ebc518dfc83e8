"""Development data for both tables, inserted through the models any number of times.

A session is identified by its sid, an audit row by everything except its details; a row that exists
stays as it is. The data are the same on every machine, except that `expire` counts from the moment
when a session is inserted.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dbfoundation import Row, Seeded, insert_missing

from models import AuditLog, Session, database

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_DAY = datetime(2025, 3, 3, 8, tzinfo=UTC)
ACTIONS = (
    ("user.login", "user", {"method": "password", "ip": "192.0.2.10"}),
    ("project.create", "project", {"title": "Website", "visibility": "private"}),
    ("project.update", "project", {"changed": {"visibility": ["private", "team"]}}),
    ("invoice.send", "invoice", {"amount": "149.90", "currency": "EUR"}),
    ("report.export", None, {"format": "csv", "rows": 1280}),
    ("user.logout", "user", None),
)
USERS = ("1001", "1002", "1003", "1004", "1005")


def seed() -> Seeded:
    """Insert the missing rows, all of them or none."""
    return insert_missing(database, [*_audit_log(), *_sessions()])


def _audit_log() -> Iterator[Row]:
    """Each user performs every action once, on a day of their own: 30 rows."""
    for day, user in enumerate(USERS):
        for hour, (action, entity_type, details) in enumerate(ACTIONS):
            key = {
                "action": action,
                "entity_type": entity_type,
                "entity_id": entity_type and (user if entity_type == "user" else f"{day}{hour}"),
                "user_id": user,
                "timestamp": FIRST_DAY + timedelta(days=day, hours=hour),
            }
            yield Row(AuditLog, key, {"details": details})


def _sessions() -> Iterator[Row]:
    """Twelve sessions: nine live ones, three expired ones."""
    now = datetime.now(UTC).replace(tzinfo=None)
    for number in range(12):
        data = {
            "cookie": {"originalMaxAge": 86_400_000, "httpOnly": True, "path": "/"},
            "user_id": USERS[number % len(USERS)],
            "locale": ("en", "de", "fr")[number % 3],
        }
        expire = now + timedelta(days=number - 2, hours=-1)
        yield Row(Session, {"sid": f"seed-{number:02}"}, {"sess": data, "expire": expire})
