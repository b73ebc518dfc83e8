"""Development data: two events and a session of each of four users; one session has expired."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dbfoundation import Row, Seeded, insert_missing
from models import AuditLog, Session, database

USERS = ("1001", "1002", "1003", "1004")
ACTIONS = ("user.login", "invoice.send")
SESSION = {"cookie": {"originalMaxAge": 86_400_000}}


def seed() -> Seeded:
    """Insert the missing rows, all of them or none."""
    events = [
        Row(AuditLog, {"action": action, "user_id": user}, {"details": {"amount": "149.90"}})
        for user in USERS
        for action in ACTIONS
    ]
    now = datetime.now(UTC).replace(tzinfo=None)
    sessions = [
        Row(
            Session,
            {"sid": f"seed-{day:02}"},
            {"sess": SESSION | {"user_id": user}, "expire": now + timedelta(days=day, hours=-1)},
        )
        for day, user in enumerate(USERS)
    ]
    return insert_missing(database, events + sessions)
