"""Rows of the table sessions, read and changed past SessionStore."""

from tests.support import execute


def let_expire(settings, sid, seconds=1):
    """Move the end of a session to so many seconds ago."""
    update = "UPDATE sessions SET expire = now() AT TIME ZONE 'UTC' - make_interval(secs => %s)"
    execute(settings, f"{update} WHERE sid = %s", seconds, sid)


def seconds_left(settings, sid):
    query = "SELECT extract(epoch FROM expire - now() AT TIME ZONE 'UTC') FROM sessions"
    return float(execute(settings, f"{query} WHERE sid = %s", sid)[0][0])


def insert_expired(settings, count):
    """Insert sessions that ended one second ago, two seconds ago, and so on."""
    execute(
        settings,
        "INSERT INTO sessions SELECT 'old' || n, '{}', now() AT TIME ZONE 'UTC' "
        "- make_interval(secs => n) FROM generate_series(1, %s) n",
        count,
    )


def count_rows(settings):
    """The number of sessions, expired or not."""
    return execute(settings, "SELECT count(*) FROM sessions")[0][0]
