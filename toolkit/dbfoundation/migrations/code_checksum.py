"""A checksum of what Python reads in a file: the same for every layout, and on every Python.

It covers the syntax tree without positions, comments and docstrings, so that a formatter leaves it
as it is. `ast.dump` and `compile` differ between versions of Python. Here only those fields count
that have a value, because later versions add fields.
"""

from __future__ import annotations

import ast
import hashlib
import warnings
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LAYOUT = {"kind", "type_comment", "type_ignores"}  # `kind` is the u of u"text"


def code_checksum(source: bytes) -> str | None:
    """SHA-256 of what Python reads, in hex; None for a source that it cannot read."""
    try:
        with warnings.catch_warnings(action="ignore"):  # such as the one about a "\\d"
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    digest = hashlib.sha256()
    # A file may execute the SQL of a docstring.
    for part in _parts(tree, with_docstrings=b"__doc__" in source):
        digest.update(part)
    return digest.hexdigest()


def _parts(tree: ast.Module, *, with_docstrings: bool) -> Iterator[bytes]:
    """The tree as text, in parts; without recursion, which a sum of 1,000 terms would exceed."""
    waiting: list[object] = [tree]  # the last one is next
    while waiting:
        match waiting.pop():
            case bytes(text):
                yield text
            case ast.Expr(value=ast.Constant(value=str())) if not with_docstrings:
                pass
            case ast.Constant(value=value):
                yield _constant(value)
            case ast.AST() as node:
                yield f"{type(node).__name__}(".encode()
                waiting.append(b")")
                for name, value in _fields(node):
                    waiting += (value, f"{name}=".encode())
            case list(items):
                yield b"["
                waiting += (b"]", *items[::-1])
            case value:
                yield _constant(value)


def _fields(node: ast.AST) -> list[tuple[str, object]]:
    """The fields that have a value, by name in the opposite order."""
    fields = {name: value for name, value in ast.iter_fields(node) if name not in LAYOUT}
    match node:
        case ast.JoinedStr(values=values):
            fields["values"] = list(_merge_texts(values))
        case ast.Delete(targets=[ast.Tuple(elts=elements)]):
            fields["targets"] = elements  # a formatter removes the parentheses of `del (a, b)`
    return [
        (name, fields[name])
        for name in sorted(fields, reverse=True)
        if fields[name] not in (None, [])
    ]


def _merge_texts(values: Iterable[ast.expr]) -> Iterator[ast.expr]:
    """The parts of an f-string; its texts are split differently by each version of Python."""
    for is_text, group in groupby(values, lambda value: isinstance(value, ast.Constant)):
        if not is_text:
            yield from group
        elif text := "".join(ast.literal_eval(value) for value in group):
            yield ast.Constant(text)


def _constant(value: object) -> bytes:
    """A value as text; repr() depends on the version's Unicode, and refuses a long number."""
    text = f"{value:x}" if isinstance(value, int) else ascii(value)
    return f"{type(value).__name__}:{text};".encode()
