"""The README and the pages of docs/: every code block is run, and every output compared."""

from __future__ import annotations

import re

import pytest

from dbfoundation.server.databases import create_database, drop_database
from dbfoundation.tasks import ns
from tests.documentation import (
    BLOCK,
    Command,
    File,
    normalize,
    read_page,
    run_command,
    write_file,
)
from tests.support import LIBRARY, Project, at_database, clean_environment, copy_root

ROOT = LIBRARY.parent
README = ROOT / "README.md"
PAGES = [README, LIBRARY / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SET_UP = ".venv/bin/"

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="this copy has no docs/")


@pytest.fixture
def project(tmp_path, server):
    """A copy of the root's project, migrated and seeded, on a database called app."""
    app = at_database(server, "app")
    drop_database(app)
    create_database(app)
    url = app.url.render(with_password=True)
    environment = clean_environment() | {"DATABASE_URL": url, "APP_ENV": "test"}
    copy = Project(copy_root(tmp_path), environment)
    assert copy.invoke("migrate-up").returncode == 0
    yield copy
    drop_database(app)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_code_block_runs_and_every_output_is_real(page, project):
    for part in read_page(page.read_text()):
        if isinstance(part, File):
            write_file(project.folder, part)
        elif SET_UP not in part.text:
            code, output = run_command(part, project.folder, project.environment)
            assert normalize(output) == normalize(part.output), part.text
            assert code == part.exit_code, part.text


def test_the_first_commands_of_the_readme_are_those_of_ci():
    commands = [part.text for part in read_page(README.read_text()) if SET_UP in str(part)]
    script = (ROOT / ".ci" / "run").read_text()
    assert len(commands) == 2
    for command in commands:
        assert command in script


def test_the_output_of_the_first_command_is_real(project):
    [first, _] = [part for part in read_page(README.read_text()) if SET_UP in str(part)]
    project.invoke("migrate-down", "--to", "zero")
    shown = normalize(first.output).replace("started by <a provider>", "already running")
    command = Command("invoke db-up migrate-up seed", "")
    _, output = run_command(command, project.folder, project.environment)
    pip_and_db_up = shown.partition("already running\n")
    assert normalize(output).partition("already running\n")[2] == pip_and_db_up[2]


def test_the_readme_is_a_shop_window():
    assert len(README.read_text().splitlines()) <= 230


def test_the_readme_lists_each_task_and_no_other():
    rows = re.findall(r"^\| `([a-z-]+)[^`]*` \|", README.read_text(), re.MULTILINE)
    own = {"test", "lint", "bench"}
    assert set(rows) - own == {name.replace("_", "-") for name in ns.task_names}
    assert len(rows) == len(set(rows))


def test_the_page_of_settings_explains_every_setting():
    page = (ROOT / "docs" / "settings.md").read_text()
    for setting in re.findall(r"^([A-Z_]+)=", (ROOT / ".env").read_text(), re.MULTILINE):
        assert f"`{setting}`" in page


def test_every_link_between_pages_leads_to_a_file():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_diagram_has_the_packages_of_the_library():
    blocks = BLOCK.findall(README.read_text())
    [diagram] = [text for language, text in blocks if language == "mermaid"]
    inside = diagram.partition("[dbfoundation]")[2].partition("end")[0]
    packages = {path.parent.name for path in (LIBRARY / "dbfoundation").glob("*/__init__.py")}
    assert set(re.findall(r"\w+", inside)) == packages | {"settings", "errors"}
