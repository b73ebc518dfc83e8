"""The container of docker-compose.yml, on a real Docker engine: a volume and a port per test."""

import subprocess

import pytest

from dbfoundation.server import binaries
from dbfoundation.server.compose import Compose
from dbfoundation.settings import Settings
from tests.containers import IMAGE, compose, inspect, needs_docker, runs
from tests.support import PASSWORD, free_port, only_in_ci, until

pytestmark = needs_docker


@pytest.fixture(params=[("docker", "compose"), ("docker-compose",)], ids=["v2", "v1"])
def tool(request):
    """The command of each version of Compose."""
    if not runs(*request.param, "version"):
        pytest.skip(f"{' '.join(request.param)} is not installed")
    return request.param


def container_of(project, monkeypatch, **exported):
    """db-up's view of the container, with the settings of a project."""
    for name, value in (project.environment | exported).items():
        monkeypatch.setenv(name, value)
    return Compose(project.folder, Settings.load(project.folder / ".env"))


@only_in_ci
def test_compose_alone_creates_the_database_of_the_url(contained, tool):
    env_file = contained.folder / ".env"
    odd = "DB_PASSWORD='p@ss:w/o#r%d$1 x'"
    env_file.write_text(env_file.read_text().replace("DB_PASSWORD=app", odd))
    compose(tool, contained, "up", "-d")
    until(lambda: inspect(tool, contained)["State"]["Health"]["Status"] == "healthy", 60)
    done = contained.invoke("migrate-up", "seed")
    assert done.returncode == 0, done
    ports = inspect(tool, contained)["NetworkSettings"]["Ports"]["5432/tcp"]
    assert ports == [{"HostIp": "127.0.0.1", "HostPort": contained.environment["DB_PORT"]}]


def test_the_data_survive_db_down_and_db_up(contained):
    first = contained.invoke("db-up", "--via=docker", "migrate-up", "seed")
    assert first.returncode == 0, first
    assert "answers: started by Docker Compose" in first.stdout
    assert contained.invoke("db-down").stdout == "stopped Docker Compose; the data stay\n"
    assert contained.invoke("migrate-up").returncode == 2
    second = contained.invoke("db-up", "migrate-status", "seed")
    assert second.returncode == 0, second
    assert "0 pending" in second.stdout
    assert "inserted 0, unchanged 12" in second.stdout


@only_in_ci
def test_another_port_moves_the_container(contained):
    contained.invoke("db-up", "--via=docker", "migrate-up")
    done = contained.invoke("db-up", "migrate-status", DB_PORT=str(free_port()))
    assert done.returncode == 0, done


@only_in_ci
def test_special_characters_reach_the_container(contained):
    # PostgreSQL's initdb refuses $ in the name of its first user.
    odd = {"DB_USER": PASSWORD.replace("$", ""), "DB_PASSWORD": PASSWORD, "DB_NAME": PASSWORD}
    done = contained.invoke("db-up", "--via=docker", "migrate-up", **odd)
    assert done.returncode == 0, done


@only_in_ci
def test_the_log_of_a_container_that_dies_is_in_the_error(contained):
    done = contained.invoke("db-up", "--via=docker", DB_USER="a$b")
    assert done.returncode == 2
    assert "invalid character in extension owner" in done.stderr


@only_in_ci
def test_a_volume_of_another_password_is_an_error_with_a_fix(contained):
    contained.invoke("db-up", "--via=docker", "db-down")
    done = contained.invoke("db-up", DB_PASSWORD="another")
    assert done.returncode == 2
    assert "created with another user or password" in done.stderr
    assert "`invoke db-down --remove-data`" in done.stderr


@only_in_ci
def test_after_an_image_that_cannot_be_pulled_the_next_provider_is_tried(contained):
    if reason := binaries.unavailable_reason():
        pytest.skip(f"this machine has no next provider: {reason}")
    file = contained.folder / "docker-compose.yml"
    file.write_text(file.read_text().replace(IMAGE, "127.0.0.1:1/absent:15"))
    done = contained.invoke("db-up")
    assert done.returncode == 0, done
    assert "Docker Compose: `docker" in done.stderr
    assert "started by a private server" in done.stdout
    assert "stopped a private server" in contained.invoke("db-down").stdout


@only_in_ci
def test_psql_of_the_container_opens_the_configured_database_in_utc(contained, monkeypatch):
    contained.invoke("db-up", "--via=docker")
    container = container_of(contained, monkeypatch)
    done = subprocess.run(
        container.psql(),
        check=True,
        capture_output=True,
        text=True,
        input="ALTER DATABASE app SET timezone = 'Asia/Tokyo'; \\c\n"
        "SELECT current_database() || ' ' || current_setting('TimeZone')",
        cwd=contained.folder,
    )
    assert "app UTC" in done.stdout


@only_in_ci
def test_psql_of_the_container_is_not_used_for_another_server(contained, monkeypatch):
    contained.invoke("db-up", "--via=docker")
    other_port = {"DB_PORT": str(free_port())}
    assert container_of(contained, monkeypatch, **other_port).psql() is None
    assert container_of(contained, monkeypatch, DB_HOST="192.0.2.1").psql() is None
