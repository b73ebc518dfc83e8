"""The content of a migration file: its functions and options, read without running the file.

Three assignments of literals at the top level are options for the engine:

    irreversible = True   there is no rollback
    atomic = False        run it outside of a transaction, as CREATE INDEX CONCURRENTLY requires
    lock_timeout = 30     seconds to wait for the lock of a table, in place of the setting
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from dbfoundation.errors import MigrationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import CodeType

LOCK_TIMEOUT_SECONDS = (0.001, 2_000_000)  # PostgreSQL counts milliseconds in 31 bits
FIX = ". Fix: "  # ends the problem, and begins its fix


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option of a file: its default, the types of its values, and those in words."""

    default: Any
    types: tuple[type, ...]
    description: str


OPTIONS = {
    "irreversible": Option(default=False, types=(bool,), description="True or False"),
    "atomic": Option(default=True, types=(bool,), description="True or False"),
    "lock_timeout": Option(default=None, types=(int, float), description="a number of seconds"),
}


@dataclass(frozen=True)
class Content:
    """The content of a file, and the problems that prevent applying it or rolling it back.

    `lock_timeout` is in seconds; None where the file does not set it.
    """

    problem: str | None
    rollback_problem: str | None
    irreversible: bool = False
    atomic: bool = True
    lock_timeout: float | None = None
    code: CodeType | None = None


@cache  # each file is planned twice, before and after the lock
def read(source: bytes, path: str) -> Content:
    """Read a file's source without running it; `path` is for tracebacks."""
    try:
        tree = ast.parse(source, path)
        code = compile(tree, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return _unusable(f"syntax error: {str(error) or 'too complex'}")
    try:
        options = _read_options(tree)
    except MigrationError as error:
        return _unusable(f"{error}")
    problem, no_rollback = (_function_problem(tree, name) for name in ("migrate", "rollback"))
    if options["irreversible"]:
        no_rollback = "irreversible: the file has no rollback"
        return Content(problem, no_rollback, **options, code=code)
    if no_rollback:
        no_rollback += ", or set `irreversible = True`"
    return Content(problem or no_rollback, no_rollback, **options, code=code)


def _unusable(problem: str) -> Content:
    return Content(problem, problem)


def _read_options(tree: ast.Module) -> dict[str, Any]:
    """The options by name; raises MigrationError for an invalid one."""
    options = {name: option.default for name, option in OPTIONS.items()}
    for node in tree.body:
        for name in OPTIONS.keys() & _assigned_names(node):
            options[name] = _read_option(name, node.value)  # type: ignore[attr-defined] # an assignment
    return options


def _read_option(name: str, expression: ast.expr) -> object:
    option = OPTIONS[name]
    try:
        value = ast.literal_eval(expression)
    except (TypeError, ValueError):
        value = None
    if type(value) not in option.types:
        raise MigrationError(f"{name} must be {option.description}, as a literal")
    shortest, longest = LOCK_TIMEOUT_SECONDS
    if name == "lock_timeout" and not shortest <= value <= longest:
        raise MigrationError(f"lock_timeout must be {shortest} to {longest} seconds")
    return value


def check_options(content: Content, scope: Mapping[str, Any]) -> None:
    """Raise MigrationError unless the code of a file gives the options the values that were read.

    The engine has acted on those already: an `atomic = False` in an `if` would come too late.
    """
    for name, option in OPTIONS.items():
        read, executed = getattr(content, name), scope.get(name, option.default)
        if executed != read:
            raise MigrationError(
                f"{name} is {executed!r} when the code runs, but {read!r} when the file is read.\n"
                f"Fix: assign {name} once, at the top level, as a literal"
            )


def _assigned_names(node: ast.stmt) -> set[str]:
    match node:
        case ast.Assign(targets=targets):
            return {target.id for target in targets if isinstance(target, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return {name}
    return set()


def _function_problem(tree: ast.Module, name: str) -> str | None:
    """The problem of a function that is missing or does nothing; None for an assigned name."""
    bodies: list[list[ast.stmt]] = []
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=defined, body=body) if defined == name:
                bodies.append(body)
            case ast.AsyncFunctionDef(name=defined) if defined == name:
                return f"{name}() is async: a call does not run it{FIX}write it without async"
            case ast.Assign(value=ast.Constant()) | ast.AnnAssign(value=ast.Constant()):
                pass  # such as `migrate = None`
            case _ if name in _assigned_names(node):
                return None
    if not bodies:
        return f"no {name}(){FIX}write one"
    if any(_yields(statement) for statement in bodies[-1]):
        return f"{name}() has a yield: a call does not run it{FIX}write it without yield"
    if all(_does_nothing(statement) for statement in bodies[-1]):
        return f"{name}() does nothing{FIX}write its statements, or `migrator.noop()`"
    return None


def _does_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()) | ast.Return(value=None):
            return True
        case ast.Return(value=ast.Constant(value=None)):
            return True
    return False


def _yields(node: ast.AST) -> bool:
    """Whether the node makes a generator of its function; an inner function is another one."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return False
    if isinstance(node, ast.Yield | ast.YieldFrom):
        return True
    return any(_yields(child) for child in ast.iter_child_nodes(node))
