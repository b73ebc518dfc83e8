"""The names that generated source may import, and its import statements."""

from __future__ import annotations

from io import StringIO
from token import NAME as TOKEN_NAME
from tokenize import generate_tokens
from typing import TYPE_CHECKING

from dbfoundation.schema.model_source.column_text import WIDTH, call

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FIELDS = """
AutoField BigAutoField BigIntegerField BlobField BooleanField CharField DateField DateTimeField
DecimalField DoubleField FloatField ForeignKeyField IdentityField IntegerField SmallIntegerField
TextField TimeField UUIDField
"""
IMPORTS = {
    **dict.fromkeys(["InSchemaOf", "Timestamp6Field", "TypedField"], "dbfoundation"),
    "TypedForeignKeyField": "dbfoundation",
    **dict.fromkeys(["SQL", "CompositeKey", "Model", "NodeList", *FIELDS.split()], "peewee"),
    **dict.fromkeys(["BinaryJSONField", "DateTimeTZField", "JSONField"], "playhouse.postgres_ext"),
}


def write_imports(body: str, own: Mapping[str, str]) -> str:
    """The import statements for the names that the source uses; `own` are the project's.

    `own` has the module of each name, and so has IMPORTS.
    """
    tokens = generate_tokens(StringIO(body).readline)
    used = {token.string for token in tokens if token.type == TOKEN_NAME}
    libraries = _group({name: IMPORTS[name] for name in used & IMPORTS.keys()})
    project = _group({name: own[name] for name in used & own.keys()})
    return "\n\n".join(filter(None, (libraries, project)))


def import_statement(module: str, names: Iterable[str]) -> str:
    """An import statement with its names in the order of ruff."""
    listed = sorted(names, key=lambda name: (not name.isupper(), name))
    line = f"from {module} import {', '.join(listed)}"
    return call(f"from {module} import ", ["", *listed]) if len(line) > WIDTH else line


def _group(modules: Mapping[str, str]) -> str:
    """The import statements of names, in the order of their modules."""
    return "\n".join(
        import_statement(module, (name for name, place in modules.items() if place == module))
        for module in sorted({*modules.values()})
    )
