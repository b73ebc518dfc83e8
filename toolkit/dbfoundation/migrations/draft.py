"""The files of a migration that the models write.

The changes that a table in use can take in a transaction are one file. Those that would lock it for
long, such as an index, are a second file, which runs outside of a transaction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from textwrap import indent, wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dbfoundation.schema.ddl.change import Change

WIDTH = 92  # of a line without the indentation of its function
QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*\"""")
ONLINE = """
These statements run outside of a transaction, because others use the table meanwhile. Each can run
again after a failure.
"""
TEMPLATE = '''"""{title}.{notes}"""
{options}

def migrate(migrator, database, *, fake=False):
{migrate}


def rollback(migrator, database, *, fake=False):
{rollback}
'''


@dataclass(frozen=True)
class DraftFile:
    """One file of a draft; `suffix` follows the name of the migration."""

    suffix: str
    changes: Sequence[Change]

    @property
    def is_online(self) -> bool:
        return any(change.is_online for change in self.changes)

    @property
    def has_todo(self) -> bool:
        return any(change.todo for change in self.changes)

    def text(self, title: str, *, with_todo: bool = True) -> str:
        """The Python source; a proof runs it without the places that a person must fill in."""
        notes = [ONLINE] if self.is_online else []
        if lost := [change.lost for change in self.changes if change.lost]:
            listed = "\n".join(f"- {item}" for item in lost)
            notes.append(f"\nA rollback cannot restore\n{listed}\n")
        undo = [sql for change in reversed(self.changes) for sql in change.undo]
        return TEMPLATE.format(
            title=title.replace("_", " ").capitalize(),
            notes="\n".join(notes) and "\n" + "".join(notes),
            options="\natomic = False\n" if self.is_online else "",
            migrate="\n".join(_calls(self.changes, with_todo=with_todo)),
            rollback="\n".join(_call(sql) for sql in undo) or "    migrator.noop()",
        )


def draft_files(changes: Sequence[Change]) -> list[DraftFile]:
    """The changes as files, in the order in which they run."""
    parts = [
        [change for change in changes if change.is_online is online] for online in (False, True)
    ]
    plain, online = (DraftFile("", part) for part in parts)
    if plain.changes and online.changes:
        return [plain, DraftFile("_online", online.changes)]
    return [file for file in (plain, online) if file.changes]


def _calls(changes: Sequence[Change], *, with_todo: bool) -> Iterator[str]:
    """The lines of migrate()."""
    for change in changes:
        if change.todo and with_todo:
            words = f"{change.todo[0].upper()}{change.todo[1:]}; then remove this line."
            yield indent(_expression("raise NotImplementedError", words), "    ")
        if change.note:
            yield indent("\n".join(wrap(change.note, WIDTH)), "    # ")
        yield _call(change.sql)


def _call(sql: str) -> str:
    """A call of migrator.sql(), in which a single % is written as %%."""
    return indent(_expression("migrator.sql", sql.replace("%", "%%")), "    ")


def _expression(name: str, text: str) -> str:
    """A call with a text as its argument, in lines of readable length."""
    if "\n" in text and _is_indentable(text):
        return '{}("""\n{}\n""")'.format(name, indent(text, "    "))
    call = f"{name}({_quote(text)})"
    return call if len(call) <= WIDTH else f"{name}({_lines(text)})"


def _lines(text: str) -> str:
    """A long text as Python literals in lines of their own."""
    lines = wrap(
        text, WIDTH - 10, drop_whitespace=False, replace_whitespace=False, expand_tabs=False
    )
    if "\n" in text or "".join(lines) != text:
        return _quote(text)
    return "\n{}\n".format("\n".join(f"    {_quote(line)}" for line in lines))


def _is_indentable(text: str) -> bool:
    """Whether spaces at the start of each line do not change the statement."""
    quoted = QUOTED.findall(text)
    return "\\" not in text and '"""' not in text and not any("\n" in part for part in quoted)


def _quote(text: str) -> str:
    is_plain = text.isprintable() and '"' not in text and "\\" not in text
    return f'"{text}"' if is_plain else repr(text)
