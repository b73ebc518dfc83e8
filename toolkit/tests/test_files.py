"""The files of migrations: their names and numbers, new files, and files with other names."""

import pytest

from dbfoundation.errors import MigrationError
from dbfoundation.migrations.files import MigrationFile, create, find_files


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
def test_create_uses_the_next_number_and_a_normalized_name(folder, given, name):
    (folder / "002_two.py").unlink()
    path = create(folder, given)
    assert path.name == f"004_{name}.py"
    compile(path.read_text(), path, "exec")


@pytest.mark.parametrize("name", ["", " ", "../x", "-", "2fa", "a.b", "x" * 101, "ünï", "a/b"])
def test_create_refuses_an_invalid_name(folder, name):
    before = sorted(folder.iterdir())
    with pytest.raises(MigrationError, match="is not a valid name for a migration"):
        create(folder, name)
    assert sorted(folder.iterdir()) == before


def test_create_refuses_the_name_of_an_existing_migration(folder):
    with pytest.raises(MigrationError, match="002_two has this name already"):
        create(folder, "Two")


def test_create_overwrites_nothing_where_a_number_is_missing(tmp_path):
    (tmp_path / "007_seven.py").write_text("")
    assert create(tmp_path, "eight").name == "008_eight.py"
    assert (tmp_path / "007_seven.py").read_text() == ""


def test_numbers_sort_as_numbers_and_have_three_digits_or_more(tmp_path):
    for name in ("1000_d", "0004_a", "099_b", "20260101_e", "999_c"):
        (tmp_path / f"{name}.py").write_text("")
    assert [file.name for file in find_files(tmp_path)[0]] == [
        "0004_a",
        "099_b",
        "999_c",
        "1000_d",
        "20260101_e",
    ]
    assert create(tmp_path, "next").name == "20260102_next.py"


def test_python_files_with_other_names_are_strays(tmp_path):
    strays = ["04_x.py", "004-x.py", "x.py", "004x.py", "004_.py", "004_a.b.py", "٠٠٤_x.py"]
    others = ["__init__.py", "conf.py", "notes.md", "_helper.py", ".#001_a.py"]
    for name in (*strays, *others, "005_x.py"):
        (tmp_path / name).write_text("")
    files, found = find_files(tmp_path)
    assert found == sorted(strays)
    assert [file.name for file in files] == ["005_x"]


def test_a_missing_folder_is_an_error_and_is_not_created(tmp_path):
    with pytest.raises(MigrationError, match="the folder of migrations cannot be read"):
        find_files(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()


def test_the_checksum_is_the_same_for_every_kind_of_newline(tmp_path):
    sums = set()
    for number, end in enumerate((b"\n", b"\r\n", b"\r")):
        path = tmp_path / f"00{number}_x.py"
        path.write_bytes(b"a = 1" + end + b"b = 2" + end)
        sums.add(MigrationFile(path).checksum)
    assert len(sums) == 1


def test_a_migration_may_have_a_dataclass_with_postponed_annotations(tmp_path):
    path = tmp_path / "001_x.py"
    path.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "@dataclass\nclass Outer:\n    n: int\n"
        "def migrate():\n    @dataclass\n    class Inner:\n        n: int\n"
        "    return Inner, Outer\n"
        "def rollback():\n    migrate()\n"
    )
    inner, outer = MigrationFile(path).load("migrate")()
    assert inner(1).n == outer(1).n
