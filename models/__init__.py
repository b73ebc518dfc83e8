"""The tables, one a file. MODELS lists every one; nothing else finds them."""

from models.audit_log import AuditLog
from models.base import BaseModel
from models.session import Session, SessionStore

MODELS: list[type[BaseModel]] = [AuditLog, Session]

__all__ = ["MODELS", "AuditLog", "BaseModel", "Session", "SessionStore"]
