"""Expired sessions are deleted: in batches, waiting for no lock, by any number of processes."""

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from dbfoundation import SessionStore
from dbfoundation.runtime.connection import dedicated
from models import Session, database
from tests.session_rows import count_rows, insert_expired, let_expire
from tests.support import IS_CI, PROJECT, clean_environment, execute, until


@pytest.fixture
def store(pool):  # noqa: ARG001 # the store uses the pool
    return SessionStore(Session)


def test_prune_deletes_the_expired_sessions_in_batches(store, settings):
    insert_expired(settings, 25)
    store.set("live", {})
    totals = []
    assert store.prune(batch=10, on_batch=totals.append) == 25
    assert totals == [10, 20, 25]
    assert list(store.all()) == ["live"]
    assert count_rows(settings) == 1
    assert store.prune() == 0


def test_a_batch_below_one_is_an_error(store):
    with pytest.raises(ValueError, match="batch: must be 1 or more"):
        store.prune(batch=0)


def test_a_batch_is_not_exceeded_with_outdated_statistics(store, settings):
    store.set("live", {})
    execute(settings, "ALTER TABLE sessions SET (autovacuum_enabled = false)")
    execute(settings, "ANALYZE sessions")  # of a single row
    insert_expired(settings, 1000)
    totals = []
    assert store.prune(batch=100, on_batch=totals.append) == 1000
    assert totals == list(range(100, 1001, 100))


def test_prune_refuses_a_transaction_which_would_keep_the_rows_locked(store, pool):
    with (
        pool.connection_context(),
        pool.atomic(),
        pytest.raises(RuntimeError, match="would keep the rows locked"),
    ):
        store.prune()


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_threads_prune_at_once_under_any_default_isolation(store, settings, level):
    insert_expired(settings, 4000)
    name = settings.url.name
    execute(settings, f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = '{level}'")
    database.close_all()  # the next connection has the new default
    with ThreadPoolExecutor(4) as threads:
        pruned = sum(threads.map(lambda _: store.prune(batch=20), range(4)))
    assert pruned == 4000


def test_prune_skips_a_locked_row(store, settings):
    for sid in ("locked", "free"):
        store.set(sid, {})
        let_expire(settings, sid)
    other = dedicated(settings, "other")
    with other.connection_context(), other.atomic():
        other.execute_sql("UPDATE sessions SET expire = expire WHERE sid = 'locked'")
        execute(settings, f'ALTER DATABASE "{settings.url.name}" SET lock_timeout = 1000')
        database.close_all()  # the next connection has the new default
        assert store.prune() == 1
    assert store.prune() == 1


REFUSE_ROW_LOCKS = """
CREATE FUNCTION refuse_row_locks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_query() LIKE '%FOR UPDATE%' THEN
        RAISE EXCEPTION 'no row locks across shards' USING ERRCODE = 'feature_not_supported';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER refuse_row_locks BEFORE DELETE ON sessions EXECUTE FUNCTION refuse_row_locks()
"""


def test_prune_works_on_a_table_that_refuses_row_locks(store, settings):
    """As one does that is distributed over several servers."""
    execute(settings, REFUSE_ROW_LOCKS)
    insert_expired(settings, 25)
    store.set("live", {})
    totals = []
    assert store.prune(batch=10, on_batch=totals.append) == 25
    assert totals == [10, 20, 25]
    assert list(store.all()) == ["live"]


def test_a_session_that_is_touched_while_it_is_pruned_stays(store, settings):
    store.set("one", {})
    let_expire(settings, "one")
    other = dedicated(settings, "other")
    with other.connection_context():
        with other.atomic():
            other.execute_sql("UPDATE sessions SET expire = now() + interval '1 day'")
            assert store.prune() == 0
        assert store.prune() == 0
    assert store.count() == 1


WORKER = """
import json, random, sys
from datetime import UTC, datetime, timedelta
from dbfoundation import SessionStore
from models import Session, database

store, number = SessionStore(Session), int(sys.argv[1])
chance = random.Random(number)
done = {"set": 0, "saved": 0, "destroyed": 0, "pruned": 0, "regenerated": 0}


def let_expire_soon(sid):
    end = datetime.now(UTC).replace(tzinfo=None) + timedelta(milliseconds=5)
    with database.connection_context():
        Session.update(expire=end).where(Session.sid == sid).execute()


def step():
    sid = f"s{chance.randrange(20)}"
    data = {"by": number, "list": list(range(number))}
    match chance.randrange(5):
        case 0:
            store.set(sid, data)
            let_expire_soon(sid)
            done["set"] += 1
        case 1:
            done["saved"] += store.save(sid, data)
        case 2:
            done["destroyed"] += store.destroy(sid)
        case 3:
            done["pruned"] += store.prune(batch=3)
        case 4:
            if new := store.regenerate(sid):
                done["regenerated"] += 1
                done["destroyed"] += store.destroy(new)
    found = store.get(sid)
    assert found is None or found["list"] == list(range(found["by"])), found


print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    step()
print(json.dumps(done))
"""


@pytest.fixture
def workers(store, settings):  # noqa: ARG001 # the tables have to exist
    """Four processes that wait for a line before they start."""
    url = settings.url.render(with_password=True)
    steps = "2000" if IS_CI else "400"
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(number), steps],
            text=True,
            cwd=PROJECT,
            env=clean_environment() | {"DATABASE_URL": url, "APP_ENV": "test"},
            **pipes,
        )
        for number in range(1, 5)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def test_processes_that_set_destroy_and_prune_the_same_sessions_count_each_row_once(
    store, settings, workers
):
    for process in workers:
        process.stdin.write("go\n")
        process.stdin.flush()
    totals = Counter()
    for process in workers:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        totals += Counter(json.loads(out))
    assert len(totals) == 5, totals  # each kind of step had an effect
    until(lambda: store.count() == 0)
    remaining = count_rows(settings)
    assert store.prune() == remaining
    assert totals["destroyed"] + totals["pruned"] + remaining <= totals["set"]


def test_the_task_reports_its_progress_once_a_second(app, settings):
    app.invoke("migrate-up")
    insert_expired(settings, 1500)
    # The first batch has the oldest rows.
    execute(
        settings,
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_sleep(1.1); RETURN OLD; END'",
    )
    execute(
        settings,
        "CREATE TRIGGER wait BEFORE DELETE ON sessions FOR EACH ROW "
        "WHEN (OLD.sid = 'old1500') EXECUTE FUNCTION wait()",
    )
    done = app.invoke("sessions-prune")
    assert done.returncode == 0, done
    assert done.stdout.startswith("pruned 1500 expired sessions: ")
    assert done.stderr == "pruned 1000 sessions so far\n"
