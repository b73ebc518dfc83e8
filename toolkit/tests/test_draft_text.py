"""The text of a draft: Python that sends exactly the statements of its changes."""

import re

import pytest

from dbfoundation.migrations.draft import draft_files
from dbfoundation.schema.ddl.change import Change, Phase

STATEMENTS = {
    "plain": "DROP TABLE a",
    "quotes": 'ALTER TABLE "a ""b""" ALTER c SET DEFAULT \'it\'\'s\'',
    "a backslash": r"ALTER TABLE a ALTER c SET DEFAULT E'\\x\n'",
    "a percent sign": "CREATE INDEX i ON a (b) WHERE c LIKE '%s%%'",
    "braces": "SELECT '{0} {name}'",
    "long": "ALTER TABLE a ADD CONSTRAINT k CHECK (" + " AND ".join(f"c{n} > 0" for n in range(40)),
    "long, without a space": f"SELECT '{'x' * 200}'",
    "long, with spaces in a literal": f"SELECT '{'a   b ' * 40}'",
    "lines": "CREATE TABLE a (\n    b integer,\n    c text DEFAULT 'x%'\n)",
    "a literal of two lines": "CREATE TABLE a (\n    b text DEFAULT 'x\n    y'\n)",
    "a long literal of two lines": "SELECT 'x\n" + "y " * 80 + "'",
    "three quotes": 'CREATE TABLE a (\n    b text DEFAULT \'"""\'\n)',
    "a character that is not printable": "SELECT '\x07\u2028'",
    "another alphabet": "SELECT 'Grüße, 世界'",
}


def collapse(statement):
    """The statement with one space in place of several, except in its literals."""
    parts = re.split("('(?:[^']|'')*')", statement.strip())
    return "".join(part if n % 2 else re.sub(r"\s+", " ", part) for n, part in enumerate(parts))


class Recorder:
    """Takes the place of a migrator."""

    def __init__(self):
        self.sent = []

    def sql(self, text):
        self.sent.append(collapse(text % ()))  # as the driver, for no parameters

    def noop(self):
        self.sent.append("noop")


def sent_by(text, function):
    module = {}
    exec(compile(text, "draft.py", "exec"), module)
    recorder = Recorder()
    module[function](recorder, None)
    return recorder.sent


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_a_file_sends_its_statements(statement):
    change = Change(Phase.CHANGE_TABLE, statement, (statement, "SELECT 2"))
    (file,) = draft_files([change])
    text = file.text("change_it")
    expected = collapse(statement)
    assert sent_by(text, "migrate") == [expected]
    assert sent_by(text, "rollback") == [expected, "SELECT 2"]


@pytest.mark.parametrize("statement", ["lines", "long", "plain"])
def test_the_lines_of_a_file_are_short(statement):
    note = "This takes long. " * 12
    (file,) = draft_files([Change(Phase.CHANGE_TABLE, STATEMENTS[statement], note=note)])
    assert max(map(len, file.text("change_it").splitlines())) <= 100


def test_a_file_whose_changes_need_no_undoing_says_so():
    (file,) = draft_files([Change(Phase.CHANGE_TABLE, "SELECT 1")])
    assert sent_by(file.text("x"), "rollback") == ["noop"]


def test_changes_are_undone_in_reverse():
    changes = [Change(Phase.CHANGE_TABLE, f"do {n}", (f"undo {n}",)) for n in (1, 2)]
    (file,) = draft_files(changes)
    assert sent_by(file.text("x"), "rollback") == ["undo 2", "undo 1"]


def test_a_place_to_fill_in_stops_the_file_and_is_left_out_of_the_proof():
    change = Change(Phase.ONLINE_NOT_NULL, "SELECT 1", todo="set a.b in each row")
    (file,) = draft_files([change])
    with pytest.raises(NotImplementedError, match=r"Set a\.b in each row; then remove this line"):
        sent_by(file.text("x"), "migrate")
    assert sent_by(file.text("x", with_todo=False), "migrate") == ["SELECT 1"]


def test_lost_data_and_notes_are_in_the_text():
    change = Change(Phase.DROP_TABLE, "DROP TABLE a", note="Locks a.", lost="the rows of a")
    (file,) = draft_files([change])
    text = file.text("drop_a")
    assert text.startswith('"""Drop a.\n\nA rollback cannot restore\n- the rows of a\n"""\n')
    assert '    # Locks a.\n    migrator.sql("DROP TABLE a")\n' in text
