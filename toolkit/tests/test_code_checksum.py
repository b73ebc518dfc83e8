"""The checksum of what Python reads: no formatter changes it, and no version of Python."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dbfoundation.errors import PlanError
from dbfoundation.migrations.code_checksum import code_checksum
from dbfoundation.migrations.engine import Engine
from dbfoundation.migrations.files import MigrationFile
from tests.migration_files import creates
from tests.support import LIBRARY, PROJECT

UGLY = '''\
"""  A docstring
      that a formatter indents.   """
import peewee   as pw
TABLES=[ 'a' , "it's",
   u"b"  ]  # a comment
def migrate( migrator,database,* , fake = False ) :
  """Another.
     One."""
  for  (x,y) in ((1,2),(3,4)) :
      migrator.sql( 'INSERT INTO ' 'a VALUES (%s)' , x,) ; migrator.sql(f'{x!r:>{y}}' "%%" f'{ y }')
  @migrator.create_model
  class Thing( pw.Model ) :
      "What it is"
      name=pw.CharField( max_length = 0XFF,default = 'a long text',null= True,unique=True )
      "an attribute's docstring"
  del (x,y)
  if x== 1E5 and not (  y ): return
def rollback(migrator, database, *, fake=False): migrator.sql(r"a"); migrator.sql("\\N{BULLET}ü")
'''
STYLES = [
    [],
    ["line-length=40"],
    ["line-length=320"],
    ["format.quote-style='single'"],
    ["format.quote-style='preserve'", "format.skip-magic-trailing-comma=true"],
    ["format.indent-style='tab'", "format.line-ending='cr-lf'", "format.preview=true"],
    ["format.docstring-code-format=true", "target-version='py313'"],
]
# Each is parsed differently by two versions of Python.
TEXTS = """\
x = f"a" "b" f"{c}" "" "d" f"" "e"
x = f"{x!r:>{w}}{x:{y}{z}}{x:{{}}}"
x = f"{x:}", f"{x = }", f"{x:{y}a{z}b}", f'{x["a"]:{y["b"]}}'
x = "\\U0001FAE8 \\x85 ü", b"\\xff", 1e400, 2j, 0x123456789, None, ..., True, "\\d"
def f(a: int, /, b=1, *c, d, e=None, **k) -> int: return lambda: (yield)
class A(B, metaclass=C): x: int; y: int = 1
x = {**a, "b": [i async for i in y if i]}; x[1:2, ::3] = a = b
with (a as b, c): import a.b as c
"""


def formatted(path, style):
    """Format a file with ruff, in a style."""
    options = [word for line in style for word in ("--config", line)]
    ruff = [sys.executable, "-m", "ruff", "format", "--isolated", "--no-cache", *options, path]
    subprocess.run(ruff, check=True, capture_output=True)


@pytest.mark.parametrize("style", STYLES, ids=" ".join)
def test_ruff_in_every_style_leaves_the_checksum_as_it_is(tmp_path, style):
    path = tmp_path / "001_x.py"
    path.write_text(UGLY)
    before = MigrationFile(path)
    before = before.checksum, before.code_checksum
    formatted(path, style)
    after = MigrationFile(path)
    assert after.checksum != before[0]
    assert after.code_checksum == before[1]


def test_formatting_a_whole_project_edits_no_applied_migration(app):
    """The migrations are applied as a careless author wrote them; then the project is formatted."""
    folder = app.folder / "migrations"
    (folder / "004_ugly.py").write_text(
        "def migrate( migrator,database,*,fake=False ) :\n"
        "    migrator.sql( 'CREATE TABLE ugly (id INTEGER)' ,)\n"
        "def rollback( migrator,database,*,fake=False ) :\n"
        "    migrator.sql( 'DROP TABLE ' 'ugly' )  # a comment\n"
    )
    assert app.invoke("migrate-up").returncode == 0
    text = (folder / "004_ugly.py").read_text()
    formatted(app.folder, ["line-length=50", "format.quote-style='single'"])
    assert (folder / "004_ugly.py").read_text() != text
    done = app.invoke("migrate-status", "migrate-up", "migrate-redo")
    assert done.returncode == 0, done
    assert "accepted 001_create_audit_log" in app.invoke("migrate-accept", "--all").stdout
    assert app.invoke("migrate-accept", "--all").stdout.startswith("nothing to accept")


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("sql('a')", "sql('b')"),
        ("sql('a')", "sql(b'a')"),
        ("sql('a')", "sql(f'{a}')"),
        ("sql('a', 'b')", "sql('a' 'b')"),
        ("sql('a', 'b')", "sql(('a', 'b'))"),
        ("sql('a ')", "sql('a')"),
        (r"sql(r'\n')", r"sql('\n')"),
        ("sql(f'{a!r}')", "sql(f'{a!s}')"),
        ("sql(f'{a:b}')", "sql(f'{a:c}')"),
        ("sql(f'a{b}')", "sql(f'{a}b')"),
        ("sql(1)", "sql(1.0)"),
        ("sql(1)", "sql(True)"),
        ("sql(None)", "sql(...)"),
        ("sql(None)", "sql()"),
        ("sql(*a)", "sql(**a)"),
        ("sql(a=b)", "sql(b=a)"),
        ("sql({**a, b: c})", "sql({a: None, b: c})"),
        ("x = 1", "x == 1"),
        ("x - y - z", "x - (y - z)"),
        ("del (a, b), c", "del a, b, c"),
        ("a\nb", "b\na"),
        ("if a:\n  b\nc", "if a:\n  b\n  c"),
        ("if a: b\nelse: c", "if a: b\nc"),
        ("def migrate(a): b", "def rollback(a): b"),
        ("def f(a, /): b", "def f(*, a): b"),
        ("def f(a, b=1): b", "def f(a=1, *, b): b"),
        ("def f(*, a, b=1): b", "def f(*, a=1, b): b"),
        ("def f(): b", "async def f(): b"),
        ("@a\ndef f(): b", "def f(): b"),
        ("from . import a", "from .. import a"),
        ("import a as b", "import b as a"),
        ("x[1:]", "x[:1]"),
    ],
)
def test_a_change_that_python_reads_changes_the_checksum(text, other):
    sums = {code_checksum(text.encode()), code_checksum(other.encode())}
    assert None not in sums
    assert len(sums) == 2


def test_a_docstring_counts_in_a_file_that_reads_it():
    text = "'''{}'''\ndef migrate(m, d): m.sql({})\n"
    assert code_checksum(text.format("A", 1).encode()) == code_checksum(
        text.format("B", 1).encode()
    )
    with_doc = [code_checksum(text.format(doc, "__doc__").encode()) for doc in "AB"]
    assert with_doc[0] != with_doc[1]


@pytest.mark.parametrize(
    "source", [b"def migrate(:", b"\0", b"\xff", b"x = " + b"-" * 100_000 + b"1"]
)
def test_a_source_that_python_cannot_read_has_none(source):
    assert code_checksum(source) is None


def test_a_long_sum_has_one():
    assert code_checksum(b"x = " + b" + ".join([b"'a'"] * 900)) is not None


def test_an_edited_file_that_does_not_parse_is_edited(db, tmp_path, write):
    write("001_x", creates("x"))
    engine = Engine(db, tmp_path)
    engine.up()
    write("001_x", "def migrate(:")
    with pytest.raises(PlanError, match="001_x: edited"):
        engine.up()


def test_an_equal_file_is_not_parsed(db, monkeypatch):
    engine = Engine(db, PROJECT / "migrations")
    engine.up()
    monkeypatch.setattr(MigrationFile, "code_checksum", property(lambda _: pytest.fail("parsed")))
    monkeypatch.setattr(MigrationFile, "content", property(lambda _: pytest.fail("parsed")))
    assert engine.up() == []


def other_pythons():
    """The Pythons of this machine that the library supports, by their minor versions."""
    places = [*Path.home().glob(".pyenv/versions/3.1[1-9].*/bin/python")]
    found = [shutil.which(f"python3.{minor}") for minor in range(11, 20)]
    return sorted({*map(str, places), *filter(None, found)})


@pytest.mark.parametrize("python", other_pythons())
def test_the_checksum_is_the_same_on_every_python(python):
    """By the module alone: the other Pythons need not have the library's requirements."""
    module = LIBRARY / "dbfoundation" / "migrations" / "code_checksum.py"
    script = (
        "import runpy, sys\n"
        f"checksum = runpy.run_path({str(module)!r})['code_checksum']\n"
        "for text in sys.argv[1:]:\n    print(checksum(text.encode()))\n"
    )
    texts = [UGLY, *TEXTS.splitlines()]
    done = subprocess.run(
        [python, "-c", script, *texts], check=False, capture_output=True, text=True
    )
    if "No module named" in done.stderr or "pyenv: " in done.stderr:
        pytest.skip(f"{python} does not run here: {done.stderr.splitlines()[-1]}")
    assert done.stdout.split() == [code_checksum(text.encode()) for text in texts], done.stderr
