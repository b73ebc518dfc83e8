"""What is refused, before anything runs: every reason at once, exit code 2, nothing changed."""

import json

import pytest

from tests.conftest import execute
from toolkit.engine import Engine
from toolkit.errors import PlanError

EMPTY = "def migrate(m, d, *, fake=False):\n    pass\n"
GOOD = """
def migrate(migrator, database, *, fake=False):
    migrator.sql("CREATE TABLE {name} (id INTEGER)")

def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE {name}")
"""


def good(name):
    return GOOD.format(name=name)


@pytest.fixture
def folder(tmp_path):
    """Four migrations, of which `applied` applies the first two."""
    for number, name in enumerate(("alpha", "beta", "gamma", "gamma_ray"), start=1):
        (tmp_path / f"{number:03}_{name}.py").write_text(good(name))
    return tmp_path


@pytest.fixture
def engine(db, folder):
    return Engine(db, folder)


@pytest.fixture
def applied(engine):
    engine.up(steps=2)
    return engine


def world(db):
    """Every table and the whole history."""
    history = db.execute_sql("SELECT * FROM migratehistory ORDER BY id").fetchall()
    return sorted(db.get_tables()), history


REFUSALS = {
    "edited": ({"001_alpha.py": good("other")}, ["001_alpha: it was edited", "migrate-accept"]),
    "out of order": ({"000_late.py": good("late")}, ["000_late: a later one", "out-of-order"]),
    "duplicate number": (
        {"003_twin.py": good("twin")},
        ["003_gamma: another", "003_twin: another migration has this number"],
    ),
    "duplicate of applied": ({"002_twin.py": good("twin")}, ["002_twin: another migration"]),
    "stray": ({"4_stray.py": good("stray")}, ["4_stray.py: it would be ignored", "NNN_name.py"]),
    "no migrate": ({"005_x.py": "def migrat(m, d):\n    m.sql('x')\n"}, ["005_x: no migrate()"]),
    "empty migrate": ({"005_x.py": EMPTY}, ["005_x: migrate() does nothing"]),
    "no rollback": (
        {"005_x.py": "def migrate(m, d):\n    m.sql('x')\n"},
        ["005_x: no rollback()", "irreversible = True"],
    ),
    "empty rollback": (
        {"005_x.py": good("x").partition("def rollback")[0] + "def rollback(m, d):\n    pass\n"},
        ["005_x: rollback() does nothing"],
    ),
    "syntax error": ({"005_x.py": "def migrate(:\n"}, ["005_x: syntax error", "line 1"]),
    "what only the compiler finds": (
        {"005_x.py": "return\n"},
        ["005_x: syntax error: 'return' outside function"],
    ),
    "empty file": ({"005_x.py": ""}, ["005_x: no migrate()"]),
    "several": (
        {"001_alpha.py": good("other"), "000_late.py": good("late"), "x.py": "", "005_x.py": EMPTY},
        ["001_alpha", "000_late", "x.py", "005_x"],
    ),
}


@pytest.mark.parametrize(("files", "told"), REFUSALS.values(), ids=REFUSALS)
def test_up_refuses(applied, db, folder, files, told):
    for name, text in files.items():
        (folder / name).write_text(text)
    before = world(db)
    with pytest.raises(PlanError) as caught:
        applied.up()
    for words in told:
        assert words in str(caught.value)
    assert world(db) == before


def test_a_vanished_file_stands_in_the_way_of_its_rollback_alone(applied, db, folder):
    (folder / "002_beta.py").unlink()
    with pytest.raises(PlanError, match="002_beta: it is applied, and its file is gone"):
        applied.down()
    assert [done.name for done in applied.up()] == ["003_gamma", "004_gamma_ray"]
    applied.down(steps=2)
    assert "beta" in db.get_tables()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD.partition("def rollback")[0], "no rollback"),
        (GOOD.partition("def rollback")[0] + "irreversible = True\n", "irreversible"),
        (GOOD.partition("def rollback")[0] + "def rollback(m, d):\n    pass\n", "does nothing"),
    ],
    ids=["missing", "irreversible", "empty"],
)
def test_down_refuses_by_name_what_has_no_rollback(applied, db, folder, text, told):
    """The row has no checksum, as in a history that peewee-migrate wrote."""
    (folder / "002_beta.py").write_text(text.format(name="beta"))
    db.execute_sql("UPDATE migratehistory SET checksum = NULL")
    before = world(db)
    with pytest.raises(PlanError, match=f"002_beta: .*{told}"):
        applied.down(steps=2)
    assert world(db) == before


def test_down_refuses_an_edited_file(applied, db, folder):
    (folder / "002_beta.py").write_text(good("other"))
    before = world(db)
    with pytest.raises(PlanError, match="002_beta: it was edited"):
        applied.down()
    assert world(db) == before


def test_an_irreversible_one_is_applied(applied, folder):
    text = GOOD.partition("def rollback")[0] + "irreversible = True\n"
    (folder / "005_x.py").write_text(text.format(name="x"))
    assert [done.name for done in applied.up()][-1] == "005_x"
    with pytest.raises(PlanError, match="005_x: irreversible"):
        applied.down()


def test_newlines_alone_are_no_edit(applied, folder):
    path = folder / "001_alpha.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(applied.up()) == 2


def test_accept_takes_an_edited_file_as_it_stands(applied, folder):
    (folder / "001_alpha.py").write_text(good("alpha") + "# better told\n")
    assert applied.accept("alpha").name == "001_alpha"
    assert applied.accept("alpha") is None
    assert len(applied.up()) == 2


def test_accept_refuses_what_is_not_applied_or_gone(applied, folder):
    with pytest.raises(PlanError, match="003_gamma is not applied"):
        applied.accept("003")
    (folder / "001_alpha.py").unlink()
    with pytest.raises(PlanError, match="001_alpha is gone"):
        applied.accept("001")


def test_accept_refuses_what_cannot_be_read(applied, folder):
    (folder / "001_alpha.py").write_text("def migrate(:")
    with pytest.raises(PlanError, match="001_alpha: syntax error"):
        applied.accept("001")


def test_digits_may_be_a_part_of_a_name_but_of_no_number(engine, folder):
    (folder / "005_year_2024.py").write_text(good("year"))
    assert engine.plan().find("2024").name == "005_year_2024"
    with pytest.raises(PlanError, match="no migration is called '00'"):
        engine.plan().find("00")


def test_a_problem_has_one_word_for_programs(engine, folder):
    (folder / "005_x.py").write_text("def migrate(:")
    (folder / "006_x.py").write_text("")
    kinds = [step.problem_kind for step in engine.plan().steps]
    assert kinds == [None, None, None, None, "syntax error", "no migrate()"]


def test_out_of_order_can_be_allowed(applied, folder):
    (folder / "000_late.py").write_text(good("late"))
    done = applied.up(allow_out_of_order=True)
    assert [step.name for step in done] == ["000_late", "003_gamma", "004_gamma_ray"]
    assert [step.name for step in applied.down(steps=3)][-1] == "000_late"


@pytest.mark.parametrize("to", ["003_gamma", "003", "3", "gamma_r"])
def test_up_to_a_name_a_number_or_a_part(applied, to):
    names = ["003_gamma"] if "r" not in to else ["003_gamma", "004_gamma_ray"]
    assert [done.name for done in applied.up(to)] == names


def test_a_whole_name_is_not_ambiguous_though_it_is_part_of_another(engine, folder):
    (folder / "005_003_gamma.py").write_text(good("x"))
    assert [done.name for done in engine.up("003_gamma")][-1] == "003_gamma"


def test_down_to_keeps_that_one(engine, db):
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


def test_redo_refuses_what_could_not_be_applied_again(applied, db, folder):
    """The row has no checksum, as in a history that peewee-migrate wrote."""
    (folder / "002_beta.py").write_text(EMPTY + good("beta").partition("\n\n")[2])
    db.execute_sql("UPDATE migratehistory SET checksum = NULL")
    before = world(db)
    with pytest.raises(PlanError, match=r"002_beta: migrate\(\) does nothing"):
        applied.redo()
    assert world(db) == before


@pytest.mark.parametrize(
    ("verb", "words", "told"),
    [
        ("up", {"to": "bet"}, "002_beta is applied already"),
        ("up", {"to": "betta"}, "no migration is called 'betta'; near: .*002_beta"),
        ("up", {"to": "gamma"}, "'gamma' is ambiguous: 003_gamma, 004_gamma_ray"),
        ("up", {"to": "7"}, "no migration is called '7'"),
        ("up", {"to": ""}, "no migration is called ''"),
        ("up", {"to": "zero"}, "no migration is called 'zero'"),
        ("up", {"steps": 0}, "1 or more"),
        ("up", {"steps": 1, "to": "003"}, "exclude one another"),
        ("down", {"to": "003"}, "003_gamma is not applied"),
        ("down", {"steps": -1}, "1 or more"),
        ("redo", {"steps": 0}, "1 or more"),
    ],
)
def test_a_selection_that_makes_no_sense_is_refused(applied, db, verb, words, told):
    before = world(db)
    with pytest.raises(PlanError, match=told):
        getattr(applied, verb)(**words)
    assert world(db) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["migrate-up", "--to", "nothing"], "no migration is called 'nothing'"),
        (["migrate-up", "--to", "create"], "is ambiguous"),
        (["migrate-up", "--steps", "many"], "--steps takes a number"),
        (["migrate-down", "--steps", "0"], "--steps takes a number"),
        (["migrate-redo", "--steps=-1"], "--steps takes a number"),
        (["migrate-accept", "001"], "001_create_audit_log is not applied"),
    ],
)
def test_a_refusal_ends_with_2_and_changes_nothing(app, settings, words, told):
    done = app.invoke(*words)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert execute(settings, "SELECT to_regclass('migratehistory')") == [(None,)]


def test_status_tells_problems_in_words_and_as_json(app, settings):
    app.invoke("migrate-up", "--to", "001")
    app.write("migrations/000_late.py", good("late"))
    done = app.invoke("migrate-status")
    assert done.returncode == 2
    assert "! 000_late: a later one is applied" in done.stdout
    told = json.loads(app.invoke("migrate-status", "--json").stdout)
    assert told["database"] == f"{settings.url}"
    rows = {row.pop("name"): row for row in told["migrations"]}
    assert rows["000_late"] == {"state": "pending", "applied_at": None, "problem": "out of order"}
    assert rows["001_create_audit_log"].pop("applied_at").endswith("+00:00")
    assert rows["001_create_audit_log"] == {"state": "applied", "problem": None}
    assert rows["002_create_sessions"]["problem"] is None


def test_status_ends_with_0_when_up_to_date_and_1_when_pending(app):
    assert app.invoke("migrate-status", "--json").returncode == 1
    assert app.invoke("migrate-up", "migrate-status", "--json").returncode == 0
