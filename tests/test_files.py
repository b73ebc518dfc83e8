"""The files of migrations: new ones, strays, and what is read out of one without running it."""

import pytest

from toolkit.errors import MigrationError
from toolkit.files import MigrationFile, create, find

BODIES = "def migrate(m, d, *, fake=False):\n    {}\n\ndef rollback(m, d, *, fake=False):\n    {}\n"


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("one", "two", "three"), start=1):
        (tmp_path / f"{number:03}_{name}.py").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("add_users", "add_users"),
        ("add-users", "add_users"),
        ("Add Users", "add_users"),
        ("AddUsers", "add_users"),
        ("v2", "v2"),
    ],
)
def test_create_takes_the_next_number_and_a_plain_name(folder, given, name):
    (folder / "002_two.py").unlink()
    path = create(folder, given)
    assert path.name == f"004_{name}.py"
    compile(path.read_text(), path, "exec")


@pytest.mark.parametrize("name", ["", " ", "../x", "-", "2fa", "a.b", "x" * 101, "ünï", "a/b"])
def test_create_refuses_what_is_no_name(folder, name):
    before = sorted(folder.iterdir())
    with pytest.raises(MigrationError, match="is no name for a migration"):
        create(folder, name)
    assert sorted(folder.iterdir()) == before


def test_create_refuses_a_name_that_is_taken(folder):
    with pytest.raises(MigrationError, match="002_two"):
        create(folder, "Two")


def test_the_next_number_after_a_gap_overwrites_nothing(tmp_path):
    (tmp_path / "007_seven.py").write_text("")
    assert create(tmp_path, "eight").name == "008_eight.py"
    assert (tmp_path / "007_seven.py").read_text() == ""


def test_numbers_sort_as_numbers_and_have_three_digits_or_more(tmp_path):
    for name in ("1000_d", "0004_a", "099_b", "20260101_e", "999_c"):
        (tmp_path / f"{name}.py").write_text("")
    assert [file.name for file in find(tmp_path)[0]] == [
        "0004_a",
        "099_b",
        "999_c",
        "1000_d",
        "20260101_e",
    ]
    assert create(tmp_path, "next").name == "20260102_next.py"


def test_what_only_looks_like_a_migration_is_told(tmp_path):
    strays = ["04_x.py", "004-x.py", "x.py", "004x.py", "004_.py", "004_a.b.py"]
    for name in (
        *strays,
        "__init__.py",
        "conf.py",
        "notes.md",
        "_helper.py",
        ".#001_a.py",
        "005_x.py",
    ):
        (tmp_path / name).write_text("")
    files, found = find(tmp_path)
    assert found == sorted(strays)
    assert [file.name for file in files] == ["005_x"]


def test_a_folder_that_is_not_there_is_an_error_and_is_not_made(tmp_path):
    with pytest.raises(MigrationError, match="cannot be read"):
        find(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("idle", ["pass", "...", "return", "return None", "'only a docstring'"])
def test_a_body_without_effect_is_a_fault(tmp_path, idle):
    path = tmp_path / "001_x.py"
    path.write_text(BODIES.format(idle, "m.sql('x')"))
    assert MigrationFile(path).content.fault.startswith("migrate() does nothing")
    path.write_text(BODIES.format("m.sql('x')", idle))
    assert MigrationFile(path).content.fault.startswith("rollback() does nothing")
    assert MigrationFile(path).content.rollback_fault.startswith("rollback() does nothing")


def test_a_file_may_say_that_it_is_irreversible(tmp_path):
    path = tmp_path / "001_x.py"
    path.write_text("irreversible = True\n\ndef migrate(m, d, *, fake=False):\n    m.sql('x')\n")
    assert MigrationFile(path).content.fault is None
    assert MigrationFile(path).content.rollback_fault.startswith("irreversible")


def test_what_a_file_says_of_itself_is_read(tmp_path):
    path = tmp_path / "001_x.py"
    path.write_text("atomic: bool = False\nlock_timeout = 1.5\n")
    assert MigrationFile(path).content.atomic is False
    assert MigrationFile(path).content.lock_timeout == 1.5
    other = tmp_path / "002_x.py"
    other.write_text("")
    assert MigrationFile(other).content.atomic is True
    assert MigrationFile(other).content.lock_timeout is None


@pytest.mark.parametrize(
    "line",
    [
        "atomic = 0",
        "irreversible = not False",
        "lock_timeout = '5'",
        "lock_timeout = True",
        "lock_timeout = 0.0001",
        "lock_timeout = 1e400",
    ],
)
def test_a_line_for_the_engine_with_another_value_is_a_fault(tmp_path, line):
    path = tmp_path / "001_x.py"
    path.write_text(f"{line}\n\n{BODIES.format('m.sql(1)', 'm.sql(2)')}")
    assert f"{line.split()[0]} takes" in MigrationFile(path).content.fault


@pytest.mark.parametrize(
    "line",
    ["if True:\n    atomic = False", "atomic = True\natomic = False", "for atomic in ():..."],
)
def test_a_line_for_the_engine_that_is_no_plain_line_is_a_fault(tmp_path, line):
    path = tmp_path / "001_x.py"
    path.write_text(f"{line}\n\n{BODIES.format('m.sql(1)', 'm.sql(2)')}")
    assert "atomic stands once, at the top level" in MigrationFile(path).content.fault


def test_two_lines_for_the_engine_may_be_one(tmp_path):
    path = tmp_path / "001_x.py"
    path.write_text(f"atomic = irreversible = False\n{BODIES.format('m.sql(1)', 'm.sql(2)')}")
    assert not MigrationFile(path).content.atomic
    path.write_text("migrate = None\n")
    assert MigrationFile(path).content.fault.startswith("no migrate()")


def test_the_checksum_is_the_same_for_every_kind_of_newline(tmp_path):
    sums = set()
    for number, end in enumerate((b"\n", b"\r\n", b"\r")):
        path = tmp_path / f"00{number}_x.py"
        path.write_bytes(b"a = 1" + end + b"b = 2" + end)
        sums.add(MigrationFile(path).checksum)
    assert len(sums) == 1
