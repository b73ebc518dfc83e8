"""docker-compose.yml for real: a container, a volume and a port of the test's own."""

import json
import subprocess
from dataclasses import replace
from uuid import uuid4

import pytest

from tests.conftest import PASSWORD, free_port, until
from toolkit.compose import Compose

IMAGE = "postgres:15-alpine"


def obstacle():
    """Why the compose file cannot be run here; None when it can."""
    for command, reason in (
        (["docker", "info"], "no Docker engine answers"),
        (["docker", "image", "inspect", IMAGE], f"the image {IMAGE} is not there"),
    ):
        try:
            done = subprocess.run(command, check=False, capture_output=True)
        except OSError:
            return "docker is not installed"
        if done.returncode:
            return reason
    return None


pytestmark = pytest.mark.skipif(obstacle() is not None, reason=f"compose: {obstacle()}")


def runs(*command):
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.fixture(params=[("docker", "compose"), ("docker-compose",)], ids=["v2", "v1"])
def tool(request):
    """Each generation of compose."""
    if not runs(*request.param, "version"):
        pytest.skip(f"{' '.join(request.param)} is not installed")
    return request.param


@pytest.fixture
def contained(project):
    """The project with a compose project, a volume and a port of its own."""
    exported = {
        "COMPOSE_PROJECT_NAME": f"foundation-test-{uuid4().hex[:8]}",
        "DB_PORT": str(free_port()),
    }
    copy = replace(project, environment=project.environment | exported)
    yield copy
    tool = ["docker", "compose"] if runs("docker", "compose", "version") else ["docker-compose"]
    subprocess.run([*tool, "down", "--volumes"], check=True, cwd=copy.folder, env=copy.environment)


def compose(tool, project, *words):
    return subprocess.run(
        [*tool, *words],
        check=True,
        capture_output=True,
        text=True,
        cwd=project.folder,
        env=project.environment,
    ).stdout


def inspect(tool, project):
    container = compose(tool, project, "ps", "-q", "postgres").strip()
    command = ["docker", "inspect", container]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)[0]


def test_compose_alone_makes_the_database_that_the_url_reaches(contained, tool):
    odd = contained.folder / ".env"
    odd.write_text(odd.read_text().replace("DB_PASSWORD=app", "DB_PASSWORD='p@ss:w/o#r%d$1 x'"))
    compose(tool, contained, "up", "-d")
    until(lambda: inspect(tool, contained)["State"]["Health"]["Status"] == "healthy", 60)
    done = contained.invoke("migrate-up", "seed")
    assert done.returncode == 0, done
    ports = inspect(tool, contained)["NetworkSettings"]["Ports"]["5432/tcp"]
    assert ports == [{"HostIp": "127.0.0.1", "HostPort": contained.environment["DB_PORT"]}]


def test_up_migrated_a_row_down_up_and_the_row_is_still_there(contained):
    done = contained.invoke("db-up", "--via=docker", "migrate-up", "seed")
    assert done.returncode == 0, done
    assert "answers: started by Docker Compose" in done.stdout
    assert contained.invoke("db-down").stdout == "stopped Docker Compose; the data stay\n"
    assert contained.invoke("migrate-up").returncode == 2
    done = contained.invoke("db-up", "migrate-status", "seed")
    assert done.returncode == 0, done
    assert "0 pending" in done.stdout
    assert "inserted 0, unchanged 42" in done.stdout


def test_another_port_moves_the_container(contained):
    contained.invoke("db-up", "--via=docker", "migrate-up")
    done = contained.invoke("db-up", "migrate-status", DB_PORT=str(free_port()))
    assert done.returncode == 0, done


def test_special_characters_reach_the_container(contained):
    # PostgreSQL itself refuses $ in the name of the user who creates the data.
    odd = {"DB_USER": PASSWORD.replace("$", ""), "DB_PASSWORD": PASSWORD, "DB_NAME": PASSWORD}
    done = contained.invoke("db-up", "--via=docker", "migrate-up", **odd)
    assert done.returncode == 0, done


def test_a_container_that_dies_ends_the_wait_with_its_log(contained):
    done = contained.invoke("db-up", "--via=docker", DB_USER="a$b")
    assert done.returncode == 2
    assert "invalid character in extension owner" in done.stderr


def test_a_volume_of_another_password_is_said_to_be_so(contained):
    contained.invoke("db-up", "--via=docker", "db-down")
    done = contained.invoke("db-up", DB_PASSWORD="another")
    assert done.returncode == 2
    assert "created with another user or password" in done.stderr


def test_an_image_that_cannot_be_pulled_is_reported_and_the_next_way_is_tried(contained):
    from toolkit import binaries

    if reason := binaries.obstacle():
        pytest.skip(f"there is no next way: {reason}")
    file = contained.folder / "docker-compose.yml"
    file.write_text(file.read_text().replace(IMAGE, "127.0.0.1:1/absent:15"))
    done = contained.invoke("db-up")
    assert done.returncode == 0, done
    assert "Docker Compose: `docker" in done.stderr
    assert "started by a private server" in done.stdout
    assert "stopped a private server" in contained.invoke("db-down").stdout


def test_psql_of_the_container_serves_where_there_is_no_other(contained, monkeypatch):
    from toolkit.settings import Settings

    contained.invoke("db-up", "--via=docker")
    for name, value in contained.environment.items():
        monkeypatch.setenv(name, value)
    container = Compose(contained.folder, Settings.load(contained.folder / ".env"))
    done = subprocess.run(
        container.psql("app", "app"),
        check=True,
        capture_output=True,
        text=True,
        input="SELECT current_database()",
        cwd=contained.folder,
    )
    assert "app" in done.stdout
