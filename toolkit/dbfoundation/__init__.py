"""PostgreSQL for a service on Peewee: proven migrations, a pool, sessions, an audit trail.

A running service finds its public names here. Each is imported at its first use, so that importing
the package is cheap. The errors are in `dbfoundation.errors`, the tasks in `dbfoundation.tasks`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbfoundation.runtime.audit import AuditTrail
    from dbfoundation.runtime.audit_entry import audit_context
    from dbfoundation.runtime.fields import Timestamp6Field, generated
    from dbfoundation.runtime.pool import Pool
    from dbfoundation.runtime.prepared import Prepared
    from dbfoundation.runtime.seeding import Row, Seeded, insert_missing
    from dbfoundation.runtime.sessions import SessionStore
    from dbfoundation.runtime.typed_fields import InSchemaOf, TypedField, TypedForeignKeyField
    from dbfoundation.settings import Settings

__all__ = [
    "AuditTrail",
    "InSchemaOf",
    "Pool",
    "Prepared",
    "Row",
    "Seeded",
    "SessionStore",
    "Settings",
    "Timestamp6Field",
    "TypedField",
    "TypedForeignKeyField",
    "audit_context",
    "generated",
    "insert_missing",
]

_MODULES = {
    "AuditTrail": "runtime.audit",
    "InSchemaOf": "runtime.typed_fields",
    "Pool": "runtime.pool",
    "Prepared": "runtime.prepared",
    "Row": "runtime.seeding",
    "Seeded": "runtime.seeding",
    "SessionStore": "runtime.sessions",
    "Settings": "settings",
    "Timestamp6Field": "runtime.fields",
    "TypedField": "runtime.typed_fields",
    "TypedForeignKeyField": "runtime.typed_fields",
    "audit_context": "runtime.audit_entry",
    "generated": "runtime.fields",
    "insert_missing": "runtime.seeding",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 # any public name
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
