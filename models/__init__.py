"""The tables, one a file. MODELS lists every one; nothing else finds them."""

from models.audit_entry import audit_context
from models.audit_log import AppendOnlyError, AuditLog
from models.base import BaseModel
from models.jsonb import UnfitError
from models.session import Session, SessionStore

MODELS: list[type[BaseModel]] = [AuditLog, Session]

__all__ = [
    "MODELS",
    "AppendOnlyError",
    "AuditLog",
    "BaseModel",
    "Session",
    "SessionStore",
    "UnfitError",
    "audit_context",
]
