"""The plan: which steps a request selects, and every problem for which nothing is run."""

import json

import pytest

from dbfoundation.errors import PlanError
from dbfoundation.migrations.engine import Engine
from tests.migration_files import creates
from tests.support import execute

EMPTY = "def migrate(m, d, *, fake=False):\n    pass\n"
WITHOUT_ROLLBACK = creates("x").partition("def rollback")[0]


@pytest.fixture
def folder(tmp_path):
    """Four migrations, of which `applied` applies the first two."""
    for number, name in enumerate(("alpha", "beta", "gamma", "gamma_ray"), start=1):
        (tmp_path / f"{number:03}_{name}.py").write_text(creates(name))
    return tmp_path


@pytest.fixture
def engine(db, folder):
    return Engine(db, folder)


@pytest.fixture
def applied(engine):
    engine.up(steps=2)
    return engine


def state(db):
    """Every table and the whole history."""
    history = db.execute_sql("SELECT * FROM migratehistory ORDER BY id").fetchall()
    return sorted(db.get_tables()), history


REFUSALS = {
    "edited": (
        {"001_alpha.py": creates("other")},
        ["001_alpha: edited after it was applied. Fix: restore", "migrate-accept 001_alpha"],
    ),
    "out of order": (
        {"000_late.py": creates("late")},
        ["000_late: a later migration is applied. Fix: ", "--allow-out-of-order"],
    ),
    "duplicate number": (
        {"003_twin.py": creates("twin")},
        [
            "003_gamma: another migration has this number: 003_twin, which is not applied here",
            "003_twin: another migration has this number: 003_gamma, which is not applied here",
            "Fix: give the next number, 005, to the file that production has not applied",
        ],
    ),
    "duplicate of applied": (
        {"002_twin.py": creates("twin")},
        ["002_twin: another migration has this number: 002_beta, which is applied here. Fix: "],
    ),
    "stray": ({"4_stray.py": creates("stray")}, ["4_stray.py: would be ignored", "NNN_name.py"]),
    "no migrate": ({"005_x.py": "def migrat(m, d):\n    m.sql('x')\n"}, ["005_x: no migrate()"]),
    "empty migrate": ({"005_x.py": EMPTY}, ["005_x: migrate() does nothing. Fix: "]),
    "no rollback": (
        {"005_x.py": "def migrate(m, d):\n    m.sql('x')\n"},
        ["005_x: no rollback(). Fix: ", "irreversible = True"],
    ),
    "empty rollback": (
        {"005_x.py": f"{WITHOUT_ROLLBACK}def rollback(m, d):\n    pass\n"},
        ["005_x: rollback() does nothing"],
    ),
    "syntax error": ({"005_x.py": "def migrate(:\n"}, ["005_x: syntax error", "line 1"]),
    "syntax error with a brace": ({"005_x.py": "x = {\n"}, ["005_x: syntax error: '{' was never"]),
    "error of the compiler": (
        {"005_x.py": "return\n"},
        ["005_x: syntax error: 'return' outside function"],
    ),
    "empty file": ({"005_x.py": ""}, ["005_x: no migrate()"]),
    "several": (
        {
            "001_alpha.py": creates("other"),
            "000_late.py": creates("late"),
            "x.py": "",
            "005_x.py": EMPTY,
        },
        ["001_alpha", "000_late", "x.py", "005_x"],
    ),
}


@pytest.mark.parametrize(("files", "texts"), REFUSALS.values(), ids=REFUSALS)
def test_up_refuses_every_problem_at_once(applied, db, folder, files, texts):
    for name, text in files.items():
        (folder / name).write_text(text)
    before = state(db)
    with pytest.raises(PlanError) as caught:
        applied.up()
    for text in texts:
        assert text in str(caught.value)
    assert state(db) == before


def test_a_missing_file_prevents_its_own_rollback_only(applied, db, folder):
    (folder / "002_beta.py").unlink()
    with pytest.raises(PlanError, match="002_beta: applied, but its file is missing"):
        applied.down()
    assert [done.name for done in applied.up()] == ["003_gamma", "004_gamma_ray"]
    applied.down(steps=2)
    assert "beta" in db.get_tables()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (WITHOUT_ROLLBACK, "no rollback"),
        (WITHOUT_ROLLBACK + "irreversible = True\n", "irreversible"),
        (WITHOUT_ROLLBACK + "def rollback(m, d):\n    pass\n", "does nothing"),
    ],
    ids=["missing", "irreversible", "empty"],
)
def test_down_refuses_a_file_without_a_rollback(applied, db, folder, text, problem):
    """The record has no checksum, as in a history that peewee-migrate wrote."""
    (folder / "002_beta.py").write_text(text)
    db.execute_sql("UPDATE migratehistory SET checksum = NULL")
    before = state(db)
    with pytest.raises(PlanError, match=f"002_beta: .*{problem}"):
        applied.down(steps=2)
    assert state(db) == before


def test_down_refuses_an_edited_file(applied, db, folder):
    (folder / "002_beta.py").write_text(creates("other"))
    before = state(db)
    with pytest.raises(PlanError, match="002_beta: edited after it was applied"):
        applied.down()
    assert state(db) == before


def test_an_irreversible_migration_is_applied_and_not_rolled_back(applied, folder):
    (folder / "005_x.py").write_text(f"{WITHOUT_ROLLBACK}irreversible = True\n")
    assert [done.name for done in applied.up()][-1] == "005_x"
    with pytest.raises(PlanError, match="005_x: irreversible"):
        applied.down()


def test_a_file_with_other_newlines_is_not_edited(applied, folder):
    path = folder / "001_alpha.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(applied.up()) == 2


def test_accept_records_the_text_of_an_edited_file(applied, folder):
    (folder / "001_alpha.py").write_text(creates("other"))
    assert [step.name for step in applied.accept("alpha")] == ["001_alpha"]
    assert applied.accept("alpha") == []
    assert len(applied.up()) == 2


def test_accept_all_records_the_text_of_every_applied_file(applied, folder):
    for name in ("001_alpha", "002_beta"):
        (folder / f"{name}.py").write_text(creates("other"))
    assert [step.name for step in applied.accept_all()] == ["001_alpha", "002_beta"]
    (folder / "001_alpha.py").write_text(creates("beta"))
    (folder / "002_beta.py").unlink()
    assert [step.name for step in applied.accept_all()] == ["001_alpha"]


def test_accept_all_of_nothing_creates_no_table(engine, db):
    assert engine.accept_all() == []
    assert db.get_tables() == []


def test_accept_all_records_nothing_when_one_file_is_invalid(applied, folder, db):
    (folder / "001_alpha.py").write_text(creates("other"))
    (folder / "002_beta.py").write_text("def migrate(:")
    before = state(db)
    with pytest.raises(PlanError, match="002_beta: syntax error"):
        applied.accept_all()
    assert state(db) == before


def test_an_edit_prevents_the_rollback_of_its_own_migration_only(applied, folder):
    (folder / "001_alpha.py").write_text(creates("other"))
    assert [done.name for done in applied.down()] == ["002_beta"]
    with pytest.raises(PlanError, match="001_alpha: edited after it was applied"):
        applied.down()


def test_accept_refuses_a_pending_migration_and_a_missing_file(applied, folder):
    with pytest.raises(PlanError, match="003_gamma is not applied"):
        applied.accept("003")
    (folder / "001_alpha.py").unlink()
    with pytest.raises(PlanError, match="001_alpha has no file"):
        applied.accept("001")


def test_accept_refuses_a_file_with_a_syntax_error(applied, folder):
    (folder / "001_alpha.py").write_text("def migrate(:")
    with pytest.raises(PlanError, match="001_alpha: syntax error"):
        applied.accept("001")


def test_digits_match_a_part_of_a_name_but_no_part_of_a_number(engine, folder):
    (folder / "005_year_2024.py").write_text(creates("year"))
    assert engine.plan().find("2024").name == "005_year_2024"
    with pytest.raises(PlanError, match="no migration is called '00'"):
        engine.plan().find("00")


def test_a_problem_has_a_short_kind_for_programs(engine, folder):
    (folder / "005_x.py").write_text("def migrate(:")
    (folder / "006_x.py").write_text("")
    (folder / "007_x.py").write_text(EMPTY)
    kinds = [step.problem_kind for step in engine.plan().steps][4:]
    assert kinds == ["syntax error", "no migrate()", "migrate() does nothing"]


def test_files_out_of_order_can_be_allowed(applied, folder):
    (folder / "000_late.py").write_text(creates("late"))
    done = applied.up(allow_out_of_order=True)
    assert [step.name for step in done] == ["000_late", "003_gamma", "004_gamma_ray"]
    assert [step.name for step in applied.down(steps=3)][-1] == "000_late"


@pytest.mark.parametrize(
    "to", ["003_gamma", "003_gamma.py", "migrations/003_gamma.py", "003", "3", "gamma_r"]
)
def test_up_to_a_name_a_number_or_a_part_of_a_name(applied, to):
    names = ["003_gamma"] if to != "gamma_r" else ["003_gamma", "004_gamma_ray"]
    assert [done.name for done in applied.up(to)] == names


def test_a_full_name_is_unambiguous_though_it_is_a_part_of_another(engine, folder):
    (folder / "005_003_gamma.py").write_text(creates("x"))
    assert [done.name for done in engine.up("003_gamma")][-1] == "003_gamma"


def test_down_to_a_migration_keeps_it_applied(engine, db):
    engine.up()
    assert [done.name for done in engine.down("beta")] == ["004_gamma_ray", "003_gamma"]
    assert engine.down("beta") == []
    assert [done.name for done in engine.down("zero")] == ["002_beta", "001_alpha"]
    assert db.get_tables() == ["migratehistory"]


def test_redo_rolls_back_and_applies_again(engine):
    engine.up()
    assert [(done.verb, done.name) for done in engine.redo(2)] == [
        ("rolled back", "004_gamma_ray"),
        ("rolled back", "003_gamma"),
        ("applied", "003_gamma"),
        ("applied", "004_gamma_ray"),
    ]


def test_redo_refuses_a_migration_that_cannot_be_applied_again(applied, db, folder):
    """The record has no checksum, as in a history that peewee-migrate wrote."""
    (folder / "002_beta.py").write_text(EMPTY + creates("beta").partition("\n\n")[2])
    db.execute_sql("UPDATE migratehistory SET checksum = NULL")
    before = state(db)
    with pytest.raises(PlanError, match=r"002_beta: migrate\(\) does nothing"):
        applied.redo()
    assert state(db) == before


@pytest.mark.parametrize(
    ("verb", "options", "reason"),
    [
        ("up", {"to": "bet"}, "002_beta is applied already"),
        ("up", {"to": "betta"}, "no migration is called 'betta'; similar: .*002_beta"),
        ("up", {"to": "gamma"}, "'gamma' is ambiguous: 003_gamma, 004_gamma_ray"),
        ("up", {"to": "7"}, "no migration is called '7'"),
        ("up", {"to": ""}, "no migration is called ''"),
        ("up", {"to": "None"}, "no migration is called 'None'"),
        ("up", {"to": "٣"}, "no migration is called '٣'"),
        ("up", {"to": "9" * 5000}, "no migration is called '9{60}…'"),
        ("up", {"to": ".py"}, "no migration is called '.py'"),
        ("down", {"to": ""}, "no migration is called ''"),
        ("up", {"to": "zero"}, "no migration is called 'zero'"),
        ("up", {"steps": 0}, "1 or more"),
        ("up", {"steps": 1, "to": "003"}, "exclude each other"),
        ("down", {"to": "003"}, "003_gamma is not applied"),
        ("down", {"steps": -1}, "1 or more"),
        ("redo", {"steps": 0}, "1 or more"),
    ],
)
def test_an_invalid_selection_is_refused(applied, db, verb, options, reason):
    before = state(db)
    with pytest.raises(PlanError, match=reason):
        getattr(applied, verb)(**options)
    assert state(db) == before


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["migrate-up", "--to", "nothing"], "no migration is called 'nothing'"),
        (["migrate-up", "--to", "create"], "is ambiguous"),
        (["migrate-up", "--steps", "many"], "--steps must be a number"),
        (["migrate-down", "--steps", "0"], "--steps must be a number"),
        (["migrate-redo", "--steps=-1"], "--steps must be a number"),
        (["migrate-up", "--steps=1.5"], "9 digits at most, not '1.5'"),
        (["migrate-up", "--steps=٣"], "9 digits at most, not '٣'"),
        (["migrate-down", "--steps="], "9 digits at most, not ''"),
        (["migrate-up", f"--steps={'9' * 5000}"], "99…'"),
        (["migrate-up", "--to", "9" * 5000], "no migration is called '99"),
        (["migrate-accept", "٣"], "no migration is called '٣'"),
        (["migrate-accept", ""], "no migration is called ''"),
        (["migrate-accept", "001", "--all"], "a migration or --all, not both"),
        (["migrate-accept", "001"], "001_create_audit_log is not applied"),
    ],
)
def test_a_refusal_ends_with_exit_code_2_and_changes_nothing(app, settings, words, reason):
    done = app.invoke(*words)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert execute(settings, "SELECT to_regclass('migratehistory')") == [(None,)]


def test_status_prints_problems_and_has_their_kinds_in_json(app, settings):
    app.invoke("migrate-up", "--to", "001")
    app.write("migrations/000_late.py", creates("late"))
    done = app.invoke("migrate-status")
    assert done.returncode == 2
    assert "! 000_late: a later migration is applied" in done.stdout
    printed = json.loads(app.invoke("migrate-status", "--json").stdout)
    assert printed["database"] == f"{settings.url}"
    rows = {row.pop("name"): row for row in printed["migrations"]}
    assert rows["000_late"] == {"state": "pending", "applied_at": None, "problem": "out of order"}
    assert rows["001_create_audit_log"].pop("applied_at").endswith("+00:00")
    assert rows["001_create_audit_log"] == {"state": "applied", "problem": None}
    assert rows["002_create_sessions"]["problem"] is None


def test_status_ends_with_0_when_up_to_date_and_1_when_pending(app):
    assert app.invoke("migrate-status", "--json").returncode == 1
    assert app.invoke("migrate-up", "migrate-status", "--json").returncode == 0
