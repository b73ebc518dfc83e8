"""The tables, one file each. MODELS lists all of them: the tasks know no others."""

from models.audit_log import AuditLog
from models.base import BaseModel, database
from models.session import Session

MODELS: list[type[BaseModel]] = [AuditLog, Session]

__all__ = ["MODELS", "AuditLog", "BaseModel", "Session", "database"]
