"""The names that generated source may import, and its import statements."""

from __future__ import annotations

from io import StringIO
from token import NAME as TOKEN_NAME
from tokenize import generate_tokens

from dbfoundation.schema.model_source.column_text import WIDTH, call

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


def write_imports(body: str, module: str, base: str) -> str:
    """The import statements for the names that the source uses."""
    tokens = generate_tokens(StringIO(body).readline)
    used = {token.string for token in tokens if token.type == TOKEN_NAME}
    modules = {name: IMPORTS[name] for name in used & IMPORTS.keys()} | {base: module}
    lines = []
    for source in dict.fromkeys(("dbfoundation", "peewee", "playhouse.postgres_ext", module)):
        found = (name for name, place in modules.items() if place == source)
        if names := sorted(found, key=lambda name: (not name.isupper(), name)):
            line = f"from {source} import {', '.join(names)}"
            is_long = len(line) > WIDTH
            lines.append(call(f"from {source} import ", ["", *names]) if is_long else line)
    # A project's module is a group of its own.
    own = [] if module == "peewee" else ["", lines.pop()]
    return "\n".join([*lines, *own])
