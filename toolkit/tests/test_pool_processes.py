"""The pool in a process that ends, and in one that forks."""

import subprocess
import sys

from tests.support import PROJECT, clean_environment


def run(program, settings):
    """Run a program on the project's pool, with nothing exported but its address."""
    url = settings.url.render(with_password=True)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        check=False,
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env=clean_environment() | {"DATABASE_URL": url, "APP_ENV": "test"},
        timeout=60,
    )


def test_a_program_that_ends_with_an_open_connection_prints_nothing(settings):
    program = """if True:
        from models import database
        database.connect()
        print(database.execute_sql('SELECT 1').fetchone())
    """
    done = run(program, settings)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(1,)\n", "")


FORK = """
import os, sys, threading
from models import database

def pid():
    return database.execute_sql("SELECT pg_backend_pid()").fetchone()[0]

held, release = threading.Event(), threading.Event()

def hold():
    with database.connection_context():
        before = pid()
        held.set()
        release.wait()
        assert pid() == before

thread = threading.Thread(target=hold)
thread.start()
held.wait()
with database.connection_context():
    parent = pid()
    child = os.fork()
    if not child:
        with database.connection_context():
            own = pid()
        os._exit(0 if own != parent else 1)
    _, status = os.waitpid(child, 0)
    assert pid() == parent
release.set()
thread.join()
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_forked_process_has_connections_of_its_own(settings):
    done = run(FORK, settings)
    assert (done.returncode, done.stderr) == (0, ""), done


BUSY_FORK = """
import os, threading
from models import database

enough = threading.Event()

def make_connections():
    while not enough.is_set():
        database.connect()
        database.manual_close()

with database.connection_context():
    pass
threads = [threading.Thread(target=make_connections) for _ in range(2)]
for thread in threads:
    thread.start()
for _ in range(20):
    if not (child := os.fork()):
        database.close_all()  # takes every lock; to connect, libpq's libraries have locks too
        os._exit(0)
    os.waitpid(child, 0)
enough.set()
for thread in threads:
    thread.join()
"""


def test_a_fork_beside_a_thread_that_connects_does_not_hang(settings):
    done = run(BUSY_FORK, settings)
    assert (done.returncode, done.stderr) == (0, ""), done
