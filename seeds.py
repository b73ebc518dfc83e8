"""Development data for both tables, through the models, any number of times.

A session is known by its sid, an audit row by everything but its details; one that is there already
is left as it is. The data are the same on every machine, only `expire` counts from the moment a
session is inserted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from models import AuditLog, BaseModel, Session
from models.base import database

if TYPE_CHECKING:
    from collections.abc import Iterator

# One seeding at a time in a database; the number only has to differ from other locks' numbers.
LOCK = 0x5EED
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


@dataclass(frozen=True)
class Row:
    """A row to have: what it is known by, and the rest."""

    model: type[BaseModel]
    key: dict[str, Any]
    rest: dict[str, Any]


@dataclass(frozen=True)
class Seeded:
    """How many rows a seeding inserted, and how many were there."""

    inserted: int
    unchanged: int


def seed() -> Seeded:
    """Insert the rows that are missing, all of them or none."""
    with database.atomic():
        database.execute_sql("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        created = [
            row.model.get_or_create(**row.key, defaults=row.rest)[1]
            for rows in (_audit_log(), _sessions())
            for row in rows
        ]
    return Seeded(inserted=sum(created), unchanged=len(created) - sum(created))


def _audit_log() -> Iterator[Row]:
    """Each user goes through every action once, a day each: 30 rows."""
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
    """Twelve sessions: nine live ones, three that have expired."""
    now = datetime.now(UTC).replace(tzinfo=None)
    for number in range(12):
        data = {
            "cookie": {"originalMaxAge": 86_400_000, "httpOnly": True, "path": "/"},
            "user_id": USERS[number % len(USERS)],
            "locale": ("en", "de", "fr")[number % 3],
        }
        expire = now + timedelta(days=number - 2, hours=-1)
        yield Row(Session, {"sid": f"seed-{number:02}"}, {"sess": data, "expire": expire})
