"""The Dockerfile, and the compose files of docs/deploying.md, on a real Docker engine.

The image is built once. Each test has containers, volumes and ports of its own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests import standin_python
from tests.containers import needs_docker, runs
from tests.deployment import deployed_project
from tests.migration_files import creates
from tests.support import only_in_ci
from tests.test_template import replace_once
from tests.web import PASSWORD, ROOT, Client

if TYPE_CHECKING:
    from pathlib import Path

LACKING = standin_python.unavailable_reason()
pytestmark = [
    only_in_ci,
    needs_docker,
    pytest.mark.skipif(LACKING is not None, reason=f"the Dockerfile: {LACKING}"),
    pytest.mark.skipif(not runs("docker", "compose", "version"), reason="no Docker Compose 2"),
    pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed"),
]
REQUIREMENTS = '"flask>=3.1.3,<4",\n    "gunicorn>=23,<28",\n    "itsdangerous>=2.2,<3",'
SECRETS = {
    name: uuid4().hex
    for name in ("APP_OWNER_PASSWORD", "APP_PASSWORD", "POSTGRES_PASSWORD", "SECRET_KEY")
}
LIST_FILES = """
import json, os
skipped = ["/dev", "/proc", "/sys"]
found = []
for folder, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(folder, name) not in skipped]
    found += [os.path.join(folder, name) for name in files]
print(json.dumps(found))
"""
WRITE = """
import os
print(os.getuid(), os.getgid())
for folder in ("/", "/app", "/venv", "/usr"):
    try:
        open(os.path.join(folder, "new"), "w")
    except OSError as error:
        print(error.strerror)
"""
REPLICAS_THAT_MIGRATE = """
services:
  app:
    command: sh -c 'sh release.sh && exec gunicorn --bind=0.0.0.0:8000 flask_app:app'
    environment:
      MIGRATION_DATABASE_URL: postgresql://app_owner:${APP_OWNER_PASSWORD:?}@database/app
"""
SESSIONS = """
SELECT DISTINCT usename, ssl, client_addr IS NULL FROM pg_stat_activity
JOIN pg_stat_ssl USING (pid) WHERE usename = 'app'
"""


def docker(*words: str, **options) -> str:
    done = subprocess.run(
        ["docker", *words], check=False, capture_output=True, text=True, **options
    )
    assert done.returncode == 0, done
    return done.stdout


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The name of the page's image, with the tags 1 and 2: the second has a migration more."""
    project = deployed_project(tmp_path_factory.mktemp("image"), "flask")
    for name in ("Dockerfile", ".dockerignore", "README.md"):
        shutil.copy(ROOT / name, project.folder)
    ignore = shutil.ignore_patterns("__pycache__", ".*")
    shutil.copytree(ROOT / "toolkit", project.folder / "toolkit", ignore=ignore)
    pyproject = project.folder / "pyproject.toml"
    replace_once(pyproject, "\ndependencies = [", f"\ndependencies = [\n    {REQUIREMENTS}")
    project.write(".env.local", "SECRET_KEY=x\n")
    subprocess.run(["sh", "certificates.sh"], check=True, cwd=project.folder / "deploy")
    name = f"dbfoundation-test-{uuid4().hex[:8]}"
    build = ("build", "--network=host", ".", "-t")
    docker(*build, f"{name}:1", cwd=project.folder)
    project.write("migrations/004_books.py", creates("books"))
    docker(*build, f"{name}:2", cwd=project.folder)
    yield name
    docker("image", "rm", f"{name}:1", f"{name}:2")


class Deployment:
    """The page's compose project in a folder of its own."""

    def __init__(self, folder: Path, image: str) -> None:
        self.project = deployed_project(folder)
        self.folder = folder / "deploy"
        replace_once(self.folder / "compose.yml", "image: app:", f"image: {image}:")
        self.environment = self.project.environment | SECRETS
        self.environment |= {"COMPOSE_PROJECT_NAME": image, "DEMO_PASSWORD": PASSWORD}
        self.files = ("-f", "compose.yml")
        self.script("certificates.sh")

    def run(self, *command: str, release: int = 1) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment | {"RELEASE": str(release)},
        )

    def script(self, name: str, release: int = 1) -> str:
        done = self.run("sh", name, release=release)
        assert done.returncode == 0, done
        return done.stdout

    def compose(self, *words: str, release: int = 1) -> subprocess.CompletedProcess[str]:
        return self.run("docker", "compose", *self.files, *words, release=release)

    def output(self, *words: str, release: int = 1) -> str:
        done = self.compose(*words, release=release)
        assert done.returncode == 0, done
        return done.stdout

    def query(self, statement: str) -> list[str]:
        psql = ("psql", "-U", "postgres", "-d", "app", "-At", "-c", statement)
        return self.output("exec", "-T", "database", *psql).splitlines()

    def replicas(self) -> list[dict]:
        containers = self.output("ps", "-q", "app").split()
        return json.loads(docker("inspect", *containers))

    def clients(self) -> list[Client]:
        return [
            Client(int(replica["NetworkSettings"]["Ports"]["8000/tcp"][0]["HostPort"]))
            for replica in self.replicas()
        ]


@pytest.fixture
def deployment(tmp_path, image):
    deployment = Deployment(tmp_path, image)
    yield deployment
    deployment.output("--profile=*", "down", "--volumes", "--timeout=2")


def test_the_image_has_the_application_and_no_settings_file(image):
    run = ("run", "--rm", f"{image}:1", "python", "-c")
    files = json.loads(docker(*run, LIST_FILES))
    assert not [path for path in files if "/.env" in path or path.endswith(".key")]
    top = {path.split("/")[2] for path in files if path.startswith("/app/")}
    assert {"flask_app.py", "migrations", "models", "release.sh", "tasks.py"} <= top
    assert not top & {"deploy", "docs", "tests", "toolkit", "docker-compose.yml", "Dockerfile"}
    assert not [name for name in top if name.startswith(".")]


def test_the_image_runs_under_a_number_that_owns_no_file(image):
    user, *refused = docker("run", "--rm", f"{image}:1", "python", "-c", WRITE).splitlines()
    assert (user, refused) == ("10001 10001", ["Permission denied"] * 4)


def test_a_release_its_replicas_the_next_release_and_back(deployment):
    printed = json.loads(deployment.script("deploy.sh"))
    assert printed["state"] == "up to date"
    first, second = deployment.clients()
    assert first.login("one").status == 200
    second.cookies = first.cookies
    assert second.order(1).status == 201  # both replicas have one secret and one database
    assert first.me() == {"user": "one", "orders": 1}
    assert deployment.query(SESSIONS) == ["app|t|f"]
    for replica in deployment.replicas():
        assert replica["HostConfig"]["ReadonlyRootfs"]
        assert replica["State"]["Health"]["Status"] == "healthy"
        assert "rror" not in docker("logs", replica["Id"])
        assert "APP_OWNER" not in json.dumps(replica["Config"]["Env"])

    assert json.loads(deployment.script("deploy.sh", release=2))["state"] == "up to date"
    assert deployment.query("SELECT tableowner FROM pg_tables WHERE tablename = 'books'") == [
        "app_owner"
    ]
    printed = json.loads(deployment.script("deploy.sh", release=1))
    assert (printed["state"], printed["unknown"]) == ("ahead", ["004_books"])
    tags = {replica["Config"]["Image"].partition(":")[2] for replica in deployment.replicas()}
    assert tags == {"1"}
    for client in deployment.clients():
        client.cookies = first.cookies
        assert client.me() == {"user": "one", "orders": 1}

    down = ("run", "--rm", "-T", "release", "invoke", "migrate-down")
    assert "rolled back 004_books" in deployment.output(*down, release=2)
    assert json.loads(deployment.script("deploy.sh", release=1))["state"] == "up to date"


def test_a_release_that_fails_leaves_the_replicas_of_the_earlier_one(deployment):
    deployment.script("deploy.sh")
    before = [replica["Id"] for replica in deployment.replicas()]
    deployment.query("CREATE TABLE books ()")
    done = deployment.run("sh", "deploy.sh", release=2)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert 'relation "books" already exists' in done.stderr
    assert [replica["Id"] for replica in deployment.replicas()] == before
    assert all(client.is_healthy() for client in deployment.clients())


def test_replicas_that_start_at_once_may_run_the_release_step_themselves(deployment):
    (deployment.folder / "no_step.yml").write_text(REPLICAS_THAT_MIGRATE)
    deployment.files = (*deployment.files, "-f", "no_step.yml")
    deployment.output("up", "--detach", "--wait", "app")
    assert [client.is_healthy() for client in deployment.clients()] == [True, True]
    logs = deployment.output("logs", "--no-log-prefix", "app")
    assert logs.count('"state": "up to date"') == 2
    assert [logs.count(f"applied 00{number}_") for number in (1, 2, 3)] == [1, 1, 1]


def test_a_server_of_another_name_or_another_authority_is_refused(deployment):
    deployment.output("up", "--detach", "--wait", "database")
    container = deployment.output("ps", "-q", "database").strip()
    [network] = json.loads(docker("inspect", container))[0]["NetworkSettings"]["Networks"].values()
    url = f"postgresql://app_owner:{SECRETS['APP_OWNER_PASSWORD']}@{network['IPAddress']}/app"
    other_name = ("-e", f"MIGRATION_DATABASE_URL={url}")
    done = deployment.compose("run", "--rm", "-T", *other_name, "release")
    assert (done.returncode, done.stdout) == (2, ""), done
    assert "does not match host name" in done.stderr

    folder = deployment.folder
    (folder / "other").mkdir()
    assert deployment.run("sh", "-c", "cd other && sh ../certificates.sh").returncode == 0
    shutil.copy(folder / "other" / "tls" / "ca.crt", folder / "tls" / "ca.crt")
    done = deployment.run("sh", "deploy.sh")
    assert (done.returncode, done.stdout) == (2, ""), done
    assert "certificate verify failed" in done.stderr
    assert not [value for value in SECRETS.values() if value in done.stderr]


def test_a_unix_socket(deployment):
    deployment.files = (*deployment.files, "-f", "socket.yml")
    deployment.output("run", "--rm", "-T", "release")
    deployment.output("up", "--detach", "--wait", "app")
    assert {client.login("one").status for client in deployment.clients()} == {200}
    assert deployment.query(SESSIONS) == ["app|f|t"]
