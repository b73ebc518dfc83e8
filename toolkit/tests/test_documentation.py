"""The README and the pages of docs/: every code block is run, and every output compared."""

from __future__ import annotations

import re

import pytest

from dbfoundation.server import binaries
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
from tests.support import (
    LIBRARY,
    PASSWORD,
    Project,
    clean_environment,
    copy_root,
    copy_server_data,
    free_port,
    local_home,
)

ROOT = LIBRARY.parent
README = ROOT / "README.md"
PAGES = [README, LIBRARY / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SET_UP = ".venv/bin/"

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="this copy has no docs/")


@pytest.fixture
def project(tmp_path):
    """A copy of the root's project, migrated, on a server that its db-up started."""
    exported = {"DB_PORT": str(free_port()), "DB_PASSWORD": PASSWORD}
    copy = Project(copy_root(tmp_path), clean_environment() | exported)
    via = "docker" if binaries.unavailable_reason() else "local"
    if via == "local":
        copy_server_data(local_home(copy))
    done = copy.invoke("db-up", f"--via={via}", "migrate-up")
    assert done.returncode == 0, done
    yield copy
    assert copy.invoke("db-down", "--remove-data", "--yes").returncode == 0


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
    shown = normalize(first.output).replace(
        "started by <a provider>", "already running: <a provider>"
    )
    command = Command("invoke db-up migrate-up seed", "")
    _, output = run_command(command, project.folder, project.environment)
    pip_and_start, db_up, rest = shown.partition("app on ")
    assert pip_and_start.endswith("starting PostgreSQL: <a provider>, with new data\n")
    assert normalize(output) == db_up + rest


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
