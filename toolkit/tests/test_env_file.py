"""The lines of a .env: quotes, variables, and the same file read by Docker Compose."""

import os
import re
import shutil
import subprocess
from io import StringIO

import pytest
from dotenv import dotenv_values

from dbfoundation.env_file import read_env_file
from dbfoundation.settings import Settings
from tests.support import LIBRARY, clean_environment, only_in_ci

PAGE = LIBRARY.parent / "docs" / "settings.md"
ROW = re.compile(r"^\| `(.+?)` \| `(.*?)` \| `(.*?)` \| `(.*?)` \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text()) if PAGE.exists() else []
# The lines that the rows of the page refer to.
ABOVE = "OTHER=b\nEMPTY=\n"
COMPOSE_FILE = """\
services:
  postgres:
    image: postgres:15-alpine
    environment:
      VALUE: ${X}
"""
TOOLS = {"v2": ["docker", "compose"], "v1": ["docker-compose"]}


def read(folder, text, **shell):
    (folder / ".env").write_text(text)
    return read_env_file(folder / ".env", shell)


def runs(command):
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def composed(command, folder, line):
    """The value that Compose finds for X. Its output has $ doubled, and v1's is YAML."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "docker-compose.yml").write_text(COMPOSE_FILE)
    (folder / ".env").write_text(f"{ABOVE}{line}\n")
    shown = subprocess.run(
        [*command, "config"],
        check=True,
        capture_output=True,
        text=True,
        cwd=folder,
        env=clean_environment(),
    ).stdout
    value = re.search(r"^ +VALUE: *(.*)$", shown, re.MULTILINE)[1]
    if value.startswith('"'):
        value = value.strip('"').replace("\\\\", "\\")
    elif value.startswith("'"):
        value = value.strip("'").replace("''", "'")
    return value.replace("$$", "$")


@pytest.mark.parametrize("name", ["X=", "export X = ", "'X'="])
def test_a_value_in_single_quotes_is_literal(tmp_path, name):
    assert read(tmp_path, f"{ABOVE}{name}'a${{OTHER}}c' # why")["X"] == "a${OTHER}c"


def test_a_password_in_single_quotes_is_literal(tmp_path, monkeypatch):
    for name in os.environ.keys() - clean_environment().keys():
        monkeypatch.delenv(name)
    parts = "DB_HOST=h\nDB_PORT=5432\nDB_NAME=app\nDB_USER=app\nDB_PASSWORD='a${b}c'\n"
    url = "DATABASE_URL=postgresql://${DB_USER}:${DB_PASSWORD}@${DB_HOST}:${DB_PORT}/${DB_NAME}\n"
    (tmp_path / ".env").write_text(parts + url)
    assert Settings.load(tmp_path / ".env").url.password == "a${b}c"


@pytest.mark.parametrize("value", ["a${OTHER}c", '"a${OTHER}c"'])
def test_a_variable_is_replaced_outside_of_single_quotes(tmp_path, value):
    assert read(tmp_path, f"{ABOVE}X={value}")["X"] == "abc"


def test_a_line_above_goes_before_the_shell(tmp_path):
    text = f"{ABOVE}X=${{OTHER}} ${{ELSEWHERE}} ${{NOWHERE:-default}}"
    assert read(tmp_path, text, OTHER="shell", ELSEWHERE="shell")["X"] == "b shell default"


def test_an_inserted_value_is_not_expanded_again(tmp_path):
    assert read(tmp_path, "A='${B}'\nX=${A}")["X"] == "${B}"


LINES = """
A=1
export B="x ${A} \\n y"
C=${A}${NOWHERE}${NOWHERE:-d} # a comment
D
# a comment
E = a#b $A \\$A
F="a'b"
G=it's
A=2
H=${A}
"""


def test_without_single_quotes_every_line_means_what_python_dotenv_reads(tmp_path):
    """It is the reader of a thousand other projects; a difference would be a surprise."""
    assert read(tmp_path, LINES) == dotenv_values(stream=StringIO(LINES))


@pytest.mark.skipif(not PAGE.exists(), reason="this copy has no docs/")
def test_the_page_compares_some_lines():
    assert len(ROWS) > 8


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_line_means_what_the_page_shows(tmp_path, row):
    line, value, *_ = row
    assert read(tmp_path, ABOVE + line)["X"] == value


@only_in_ci
@pytest.mark.parametrize("version", TOOLS)
def test_a_line_means_to_compose_what_the_page_shows(tmp_path, version):
    if not runs([*TOOLS[version], "version"]):
        pytest.skip(f"{' '.join(TOOLS[version])} is not installed")
    column = 2 if version == "v2" else 3
    shown = {row[0]: row[column] for row in ROWS}
    found = {line: composed(TOOLS[version], tmp_path / "project", line) for line in shown}
    assert found == shown
