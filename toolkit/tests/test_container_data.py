"""The data of containers: recovery, no engine, an interrupted first start, and other clones."""

import shutil
import subprocess
from dataclasses import replace
from uuid import uuid4

import pytest

from dbfoundation.server import binaries
from dbfoundation.server.compose import Compose
from dbfoundation.settings import Settings
from tests.containers import needs_docker, runs
from tests.support import (
    Project,
    assert_error,
    clean_environment,
    free_port,
    local_home,
    only_in_ci,
    until,
)

pytestmark = [needs_docker, only_in_ci]
NO_ENGINE = {"DOCKER_HOST": "tcp://127.0.0.1:1"}


def docker(*words, **options):
    command = ["docker", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, **options)
    return done.stdout + done.stderr


def name_of(project):
    return f"{project.environment['COMPOSE_PROJECT_NAME']}-postgres-1"


def volume_of(project):
    return f"{project.environment['COMPOSE_PROJECT_NAME']}_postgres_data"


def compose_of(project, monkeypatch):
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    return Compose(project.folder, Settings.load(project.folder / ".env"))


def test_a_container_that_recovers_is_waited_for_and_never_replaced(contained):
    """Without a note of the last provider, the volume decides."""
    done = contained.invoke("db-up", "--via=docker", "migrate-up", "seed")
    assert done.returncode == 0, done
    restore = "restore_command = 'until [ -e recovered ]; do sleep 0.1; done; false'"
    hold = f'cd "$PGDATA" && touch recovery.signal && echo "{restore}" >> postgresql.auto.conf'
    docker("exec", "-u", "postgres", name_of(contained), "sh", "-c", hold)
    docker("kill", name_of(contained))
    shutil.rmtree(contained.folder / ".postgres")
    with contained.start("db-up") as process:
        waits = (line for line in process.stderr if "s, the database system is" in line)
        for _ in range(3):
            assert next(waits).startswith("waiting for app on 127.0.0.1")
        docker("exec", name_of(contained), "sh", "-c", 'touch "$PGDATA/recovered"')
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert "answers: started by Docker Compose, PostgreSQL 15." in out
    assert "inserted 0, unchanged 12" in contained.invoke("seed").stdout
    assert not local_home(contained).data.exists()


def test_without_the_engine_the_data_in_the_volume_are_not_replaced(contained):
    contained.invoke("db-up", "--via=docker", "db-down")
    refused = contained.invoke("db-up", **NO_ENGINE)
    assert_error(
        refused,
        "Docker Compose has this project's data: no Docker engine answers",
        "Fix: install Docker, or start it; or `invoke db-up --via local` starts another server",
    )
    assert not local_home(contained).data.exists()
    removal = contained.invoke("db-down", "--remove-data", "--yes", **NO_ENGINE)
    assert_error(removal, "Docker Compose has this project's data: no Docker engine answers")
    if not binaries.unavailable_reason():
        assert contained.invoke("db-up", "--via=local", **NO_ENGINE).returncode == 0
        assert "a private server" in contained.invoke("db-up").stdout


@pytest.mark.parametrize(
    "moment",
    [
        "creating subdirectories",
        "running bootstrap script",
        "performing post-bootstrap initialization",
    ],
)
def test_a_first_start_that_was_killed_is_an_error_with_a_fix(contained, moment):
    tool = ["docker", "compose"] if runs("docker", "compose", "version") else ["docker-compose"]
    options = {"cwd": contained.folder, "env": contained.environment}
    subprocess.run([*tool, "up", "-d"], check=True, capture_output=True, **options)
    until(lambda: moment in docker("logs", name_of(contained)))
    docker("kill", name_of(contained))
    failed = contained.invoke("db-up")
    assert failed.returncode == 2, failed
    assert "the first start of its data was interrupted or failed" in failed.stderr
    assert "Fix: `invoke db-down --remove-data` removes them" in failed.stderr
    assert not local_home(contained).data.exists()
    done = contained.invoke("db-down", "--remove-data", "--yes", "db-up", "migrate-up")
    assert done.returncode == 0, done
    assert "started by Docker Compose" in done.stdout


def test_removing_the_data_removes_the_container_and_its_volume(contained):
    contained.invoke("db-up", "--via=docker")
    done = contained.invoke("db-down", "--remove-data", "--yes")
    assert done.stdout == f"removed the data in {volume_of(contained)}\n", done
    assert not runs("docker", "volume", "inspect", volume_of(contained))
    assert not runs("docker", "container", "inspect", name_of(contained))


@pytest.fixture
def clones(project, tmp_path_factory):
    """Two clones whose folders have the same name, so that Compose takes them for one project."""
    name = f"dbfoundation-test-{uuid4().hex[:8]}"
    environment = clean_environment() | {"DB_PORT": str(free_port())}
    folders = [tmp_path_factory.mktemp(side) / name for side in ("first", "second")]
    made = [Project(shutil.copytree(project.folder, folder), environment) for folder in folders]
    yield made
    for kind in ("container", "network", "volume"):
        label = f"label=com.docker.compose.project={name}"
        listing = [kind, "ls", "-q", "--filter", label, *["--all"] * (kind == "container")]
        for found in docker(*listing).split():
            docker(kind, "rm", "--force", *["--volumes"] * (kind == "container"), found)


def test_the_container_of_another_clone_is_neither_used_nor_stopped(clones):
    first, second = clones
    done = first.invoke("db-up", "--via=docker", "migrate-up", "seed")
    assert done.returncode == 0, done
    up = second.invoke("db-up")
    assert "already running: a server that this project did not start" in up.stdout
    assert_error(second.invoke("db-reset"), "on a server that this project did not start")
    assert second.invoke("db-down").stdout.startswith("nothing to stop")
    other = second.invoke("db-up", "--via=docker", DB_PORT=str(free_port()))
    assert other.returncode == 2
    assert (
        f"the container is that of {first.folder}, whose folder has the same name" in other.stderr
    )
    assert "Fix: set another COMPOSE_PROJECT_NAME" in other.stderr
    first.invoke("db-down")
    stopped = second.invoke("db-up", "--via=docker")
    assert f"the container is that of {first.folder}" in stopped.stderr
    again = first.invoke("db-up", "seed")
    assert "inserted 0, unchanged 12" in again.stdout, again


def test_the_volume_of_a_project_that_was_renamed_is_not_replaced(clones):
    before = clones[0]
    before.invoke("db-up", "--via=docker", "migrate-up", "seed", "db-down")
    after = replace(before, folder=before.folder.with_name(f"{before.folder.name}-renamed"))
    before.folder.rename(after.folder)
    refused = after.invoke("db-up")
    assert_error(
        refused,
        f"this project's data are in {before.folder.name}_postgres_data, and not in ",
        f"Fix: set COMPOSE_PROJECT_NAME={before.folder.name} in .env",
    )
    with (after.folder / ".env").open("a") as file:
        file.write(f"\nCOMPOSE_PROJECT_NAME={before.folder.name}\n")
    done = after.invoke("db-up", "seed")
    assert "inserted 0, unchanged 12" in done.stdout, done


@pytest.mark.parametrize(
    ("ports", "is_found"),
    [
        ('["0.0.0.0:${DB_PORT}:5432", "[::1]:${DB_PORT}:5432"]', True),
        ('["127.0.0.1:${DB_PORT}:5433"]', False),
        ("[]", False),
    ],
    ids=["two addresses", "another port of the container", "none"],
)
def test_the_port_is_the_published_one_or_none(contained, monkeypatch, ports, is_found):
    file = contained.folder / "docker-compose.yml"
    text = file.read_text().replace('\n      - "127.0.0.1:${DB_PORT:-5432}:5432"', f" {ports}")
    assert ports in text
    file.write_text(text)
    container = compose_of(contained, monkeypatch)
    assert container.port() is None
    container.run("up", "-d")
    assert container.port() == (int(contained.environment["DB_PORT"]) if is_found else None)


@pytest.mark.parametrize("tool", [("docker", "compose"), ("docker-compose",)], ids=["v2", "v1"])
def test_both_versions_of_compose_name_the_place_of_the_data(contained, monkeypatch, tool):
    if not runs(*tool, "version"):
        pytest.skip(f"{' '.join(tool)} is not installed")
    monkeypatch.setattr(Compose, "_compose", tool)
    container = compose_of(contained, monkeypatch)
    assert container.place() == volume_of(contained)
    assert container.holds(container.place()) is False
    file = contained.folder / "docker-compose.yml"
    mount = "postgres_data:/var/lib/postgresql/data"
    file.write_text(file.read_text().replace(mount, "./data:/var/lib/postgresql/data"))
    container = compose_of(contained, monkeypatch)
    assert container.place() == str(contained.folder / "data")
    assert container.holds(container.place()) is False
