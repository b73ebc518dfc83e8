"""The lines of a `.env`.

A value in single quotes is literal. Elsewhere `${NAME}` and `${NAME:-default}` are replaced: by a
line above, or by the shell's variable where there is none. docs/settings.md compares this with
Docker Compose.
"""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from dotenv.parser import parse_stream
from dotenv.variables import parse_variables

from dbfoundation.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dotenv.parser import Binding


def read_env_file(env_file: Path, shell: Mapping[str, str]) -> dict[str, str | None]:
    """The values of a .env; raises SettingsError for a line that is no assignment."""
    try:
        bindings = list(parse_stream(StringIO(env_file.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{env_file.name} cannot be read: {error}") from error
    if invalid := [str(binding.original.line) for binding in bindings if binding.error]:
        raise SettingsError(
            f"{env_file.name}, line {', '.join(invalid)}: not of the form NAME=value"
        )
    values: dict[str, str | None] = {}
    for binding in bindings:
        if binding.key is not None:  # None for a comment
            values[binding.key] = _expanded(binding, {**shell, **values})
    return values


def _expanded(binding: Binding, variables: Mapping[str, str | None]) -> str | None:
    """The value of a line. python-dotenv would also replace variables in single quotes."""
    written = binding.original.string.partition("=")[2].lstrip()
    if binding.value is None or written.startswith("'"):
        return binding.value
    return "".join(atom.resolve(variables) for atom in parse_variables(binding.value))
